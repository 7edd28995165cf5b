// Times of a question, as people write them. Pure.
import { parseIsoTime } from '@millrace/contracts'
import { startOfDate } from '@millrace/serving/zone-days'

/** What a time may be. */
export const timeRule = 'a time is ISO 8601 with a zone (2026-01-31T10:00:00Z), a date, or milliseconds since 1970'

/** Milliseconds since 1970; a date is the start of its day in `zone`. Undefined: it breaks the rule. */
export function timeOf(text: unknown, zone = 'UTC'): number | undefined {
  if (typeof text !== 'string') return undefined
  if (/^\d{10,15}$/.test(text)) return Number(text)
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
