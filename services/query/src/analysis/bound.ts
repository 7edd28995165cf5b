// Questions to the warehouse: names and texts of people are bound values, never part of the text. Pure.
import type { Span } from './span.ts'

/** A question with its bound values. */
export interface BoundQuery {
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
}

/** Gives a value a name and returns how it is written in the text. */
export type Bind = (value: unknown, type: string) => string

/** Collects the values of one question. */
export function createBinding(): { readonly bind: Bind; readonly params: Readonly<Record<string, unknown>> } {
  const params: Record<string, unknown> = {}
  const bind: Bind = (value, type) => {
    const name = `p${Object.keys(params).length}`
    params[name] = value
    return `{${name}:${type}}`
  }
  return { bind, params }
}

/** Milliseconds of the time of an event, Int64. */
export const msOfEvent = 'toUnixTimestamp64Milli(timestamp)'

/** Events of [fromMs, toMs). */
export function inSpan({ fromMs, toMs }: Pick<Span, 'fromMs' | 'toMs'>, bind: Bind): string {
  const time = (ms: number): string => `fromUnixTimestamp64Milli(${bind(ms, 'Int64')})`
  return `timestamp >= ${time(fromMs)} AND timestamp < ${time(toMs)}`
}

export const identities = ['person', 'raw'] as const
/** `person`: by all that is known of who did it. `raw`: by the user id of the event, else its anonymous id. */
export type Identity = (typeof identities)[number]

/** Who did an event, empty when it names nobody. Raw ids of users and devices never meet. */
export function subjectOf(identity: Identity): string {
  if (identity === 'person') return 'personId'
  return `multiIf(userId != '', concat('u:', userId), anonymousId != '', concat('a:', anonymousId), '')`
}
