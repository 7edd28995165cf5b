// Times of a question, as people write them. Pure.
import { parseIsoTime } from '@millrace/contracts'
import { startOfDate } from '@millrace/serving/zone-days'

/** What a time may be. */
export const timeRule =
  'a time is ISO 8601 with a zone (2026-01-31T10:00:00Z), a date, or milliseconds since 1970, and before 2300'

/** Later times no event can have: the columns of the warehouse end there. */
const endMs = Date.UTC(2300, 0)

/**
 * Milliseconds since 1970, from a text or, in JSON, a number of them; a date is the start of its day in `zone`. Undefined: it
 * breaks the rule.
 */
export function timeOf(value: unknown, zone = 'UTC'): number | undefined {
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text !== 'string') return undefined
  const atMs = /^\d{10,15}$/.test(text) ? Number(text) : timeOfText(text, zone)
  return atMs !== undefined && atMs < endMs ? atMs : undefined
}

function timeOfText(text: string, zone: string): number | undefined {
  return /^\d{4}-\d\d-\d\d$/.test(text) ? startOfDate(zone, text) : parseIsoTime(text)
}

/** Whether `name` is a time zone. */
export function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}
