// Days, weeks (from Monday) and months of a time zone as spans of time. Pure.
import { startsOfDates } from '@millrace/serving/zone-days'

export const granularities = ['day', 'week', 'month'] as const
export type Granularity = (typeof granularities)[number]

export interface Period {
  /** The first day, 2026-01-31. */
  readonly date: string
  readonly startMs: number
}

/** The period of `zone` in which `atMs` (1970 or later) lies, and those after it, one after the other without an end. */
export function* periodsFrom(zone: string, granularity: Granularity, atMs: number): Generator<Period, never> {
  const startOfDate = startsOfDates(zone)
  const first = startOf(granularity, dateOf(zone, atMs))
  for (let index = 0; ; index++) {
    const date = add(granularity, first, index)
    yield { date, startMs: startOfDate(date) ?? 0 }
  }
}

/** The date of `atMs` in `zone`. */
function dateOf(zone: string, atMs: number): string {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' })
  const parts = new Map(format.formatToParts(atMs).map(({ type, value }) => [type, value]))
  return `${parts.get('year')}-${parts.get('month')}-${parts.get('day')}`
}

function startOf(granularity: Granularity, date: string): string {
  if (granularity === 'day') return date
  if (granularity === 'month') return `${date.slice(0, 8)}01`
  const weekday = new Date(`${date}T00:00:00Z`).getUTCDay()
  return add('day', date, -((weekday + 6) % 7))
}

function add(granularity: Granularity, date: string, count: number): string {
  const at = new Date(`${date}T00:00:00Z`)
  if (granularity === 'month') at.setUTCMonth(at.getUTCMonth() + count)
  else at.setUTCDate(at.getUTCDate() + count * (granularity === 'week' ? 7 : 1))
  return at.toISOString().slice(0, 10)
}
