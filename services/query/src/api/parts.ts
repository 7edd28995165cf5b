// What the parts of the description share: shapes, replies, headers, parameters.
import { problemCatalog, problemContentType } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import { priorities } from '../bulkhead.ts'

/** Media type of most replies. */
export const json = 'application/json'
/** Any text. */
export const text = { type: 'string' }
/** Any whole number. */
export const whole = { type: 'integer' }
/** A list, with rules of its own. */
export const list = (items: object, rule: object = {}) => ({ type: 'array', items, ...rule })
/** `rule`, and what it is. */
export const described = (description: string, rule: object) => ({ ...rule, description })
/** A shape by its name. */
export const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
/** Content in JSON. */
export const jsonOf = (schema: object, example?: object) => ({
  [json]: { schema, ...(example === undefined ? {} : { example }) }
})

const general = ['unauthorized', 'forbidden', 'invalid_request', 'internal', 'unavailable', 'query_timeout'] as const
const retryHeader = {
  'Retry-After': { description: 'Seconds until a repeat makes sense.', schema: { type: 'integer' } }
}
/** Headers of every answer of the cache. */
export const answerHeaders = {
  'X-Cache': {
    description:
      'HIT: made before and sent again. MISS: made now. STALE: its time is over, but no other can be had now. BYPASS: made without the cache.',
    schema: { enum: ['HIT', 'MISS', 'STALE', 'BYPASS'] }
  },
  Age: { description: 'Seconds since it was made; of HIT and STALE.', schema: { type: 'integer' } },
  'X-Query-Id': { description: 'Names the run of the engine that made it.', schema: { type: 'string' } }
}

/** Replies by status: `own`, and a problem for each status that has codes. */
export function responses(own: object, codes: readonly ProblemCode[]): object {
  const problems = Map.groupBy(new Set<ProblemCode>([...codes, ...general]), (code) => problemCatalog[code].status)
  const sorted = [...problems].toSorted(([left], [right]) => left - right)
  const described = sorted.map(([status, group]) => [
    String(status),
    {
      description: group.map((code) => `\`${code}\`: ${problemCatalog[code].title}.`).join('\n\n'),
      ...(status === 503 || status === 429 ? { headers: retryHeader } : {}),
      content: { [problemContentType]: { schema: ref('Problem') } }
    }
  ])
  return { ...own, ...(Object.fromEntries(described) as object) }
}

/** A parameter in a header. */
export const header = (name: string, description: string, schema: object) => ({
  name,
  in: 'header',
  description,
  schema
})
/** A parameter in the address. */
export const query = (name: string, description: string, schema: object, required = false) => ({
  name,
  in: 'query',
  ...(required ? { required } : {}),
  description,
  schema
})

/** Headers that every question takes. */
export const common = [
  header('X-Priority', 'Who goes first when places are rare; what is in the background is refused first.', {
    enum: [...priorities]
  }),
  header('X-Timeout-Ms', 'Longest time, waiting for a place included; at most that of the service.', {
    type: 'integer'
  }),
  header(
    'Cache-Control',
    '`no-cache`: make it anew. `no-store`: neither read nor store it. `stale-if-error=0`: rather an error than an answer whose time is over.',
    text
  )
]
