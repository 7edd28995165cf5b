// When an event is sent again. Pure.

const delaysMs = [1_000, 2_000, 4_000, 8_000]
/** A longer Retry-After is cut to this: a timer of weeks would fire at once. */
const maxRetryAfterMs = 3_600_000

/**
 * Milliseconds before the next attempt after `failures` failed ones (from 1): 1, 2, 4, 8, 8, ... s or what the gateway
 * asked for, whichever is longer, and up to half of the own delay more, so that many clients do not come at once.
 * `random` is in [0, 1).
 */
export function retryWaitMs(failures: number, retryAfterMs: number, random: number): number {
  const base = delaysMs[Math.min(failures, delaysMs.length) - 1] ?? 0
  return Math.max(base, retryAfterMs) + (base / 2) * random
}

/**
 * Milliseconds that a Retry-After header asks for; 0 when there is none or it makes no sense. A date is taken relative
 * to the reply's own `date`, else to `now` (epoch milliseconds), since the clock here may be wrong.
 */
export function parseRetryAfter(header: string | null, date: string | null, now: number): number {
  const text = header?.trim() ?? ''
  const sent = Date.parse(date ?? '')
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - (Number.isNaN(sent) ? now : sent)
  return ms > 0 ? Math.min(ms, maxRetryAfterMs) : 0
}
