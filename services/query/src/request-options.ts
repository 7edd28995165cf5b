// What the headers of a request ask for beside the question itself. Pure.
import { priorities } from './bulkhead.ts'
import type { Priority } from './bulkhead.ts'

/** The forms in which rows are sent. */
export type AnswerForm = 'json' | 'ndjson' | 'csv'

export interface RequestOptions {
  readonly form: AnswerForm
  readonly priority: Priority
  /** At most what the service gives; undefined: that. */
  readonly timeoutMs: number | undefined
  readonly use: 'cache' | 'anew' | 'apart'
  readonly allowStale: boolean
}

/** Options, or the header that breaks its rule. */
export type ReadOptions =
  | { readonly ok: true; readonly options: RequestOptions }
  | { readonly ok: false; readonly header: string; readonly detail: string }

/** Media types by the form that answers them; the first of equal weight wins. */
const forms: readonly (readonly [type: string, form: AnswerForm])[] = [
  ['application/json', 'json'],
  ['text/csv', 'csv'],
  ['application/x-ndjson', 'ndjson'],
  ['application/ndjson', 'ndjson']
]

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** Reads Accept, Cache-Control, X-Priority and X-Timeout-Ms. */
export function readOptions(headers: Headers): ReadOptions {
  const text = (name: string): string => String(headers[name] ?? '').toLowerCase()
  const priority = text('x-priority') === '' ? 'normal' : priorities.find((each) => each === text('x-priority'))
  if (priority === undefined) {
    return { ok: false, header: 'X-Priority', detail: `X-Priority is one of ${priorities.join(', ')}` }
  }
  const timeout = text('x-timeout-ms')
  if (timeout !== '' && !/^[1-9]\d{0,8}$/.test(timeout)) {
    return { ok: false, header: 'X-Timeout-Ms', detail: 'X-Timeout-Ms is a whole number of milliseconds' }
  }
  const cache = text('cache-control')
  const options: RequestOptions = {
    form: formOf(text('accept')),
    priority,
    timeoutMs: timeout === '' ? undefined : Number(timeout),
    use: cache.includes('no-store') ? 'apart' : cache.includes('no-cache') ? 'anew' : 'cache',
    allowStale: !/\bstale-if-error=0+\b/.test(cache)
  }
  return { ok: true, options }
}

/** The form that an Accept header prefers (RFC 9110, 12.5.1); JSON for whoever asks for anything else. */
function formOf(accept: string): AnswerForm {
  let best: { readonly form: AnswerForm; readonly weight: number } | undefined
  for (const part of accept.split(',').slice(0, 20)) {
    const [type = '', ...parameters] = part.split(';').map((each) => each.trim())
    const form = forms.find(([name]) => name === type)?.[1] ?? (type === '*/*' ? 'json' : undefined)
    const given = parameters.find((each) => each.startsWith('q='))
    const weight = given === undefined ? 1 : Number(given.slice(2))
    if (form !== undefined && weight > (best?.weight ?? 0)) best = { form, weight }
  }
  return best?.form ?? 'json'
}
