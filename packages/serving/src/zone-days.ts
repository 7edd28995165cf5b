// Days of a time zone as spans of time: most have 24 hours, and those on which clocks are changed 23 or 25. Pure.

const dayMs = 86_400_000
const quarterMs = 900_000

export interface Day {
  readonly startMs: number
  readonly endMs: number
}

/**
 * The days of `zone` (a name such as Europe/Berlin) that touch [fromMs, toMs), which begins in 1970 or later: before, some
 * zones had a date twice, and years of two digits mean others. Throws RangeError for an unknown zone.
 */
export function daysOfZone(zone: string, fromMs: number, toMs: number): readonly Day[] {
  const offsetAt = zoneOffset(zone)
  const days: Day[] = []
  for (let startMs = startOfDay(fromMs, offsetAt); startMs < toMs;) {
    // A day and a half later it is the next day, whatever happens to the clocks.
    const nextMs = startOfDay(startMs + 1.5 * dayMs, offsetAt)
    // A day ends, even where a date comes twice and its start is found again.
    const endMs = nextMs > startMs ? nextMs : startMs + dayMs
    days.push({ startMs, endMs })
    startMs = endMs
  }
  return days
}

/** When the day `date` (2026-01-31) begins in `zone`; undefined when it is no date of 1970 or later. */
export function startOfDate(zone: string, date: string): number | undefined {
  return startsOfDates(zone)(date)
}

/** `startOfDate` for many dates of one zone: knowing the zone costs more than a date. */
export function startsOfDates(zone: string): (date: string) => number | undefined {
  const offsetAt = zoneOffset(zone)
  return (date) => {
    const utcMs = Date.parse(`${date}T00:00:00Z`)
    // 31 February is read as 3 March.
    if (!(utcMs >= 0) || !new Date(utcMs).toISOString().startsWith(date)) return undefined
    // Noon of the same date is not far from it.
    return startOfDay(utcMs + dayMs / 2 - offsetAt(utcMs), offsetAt)
  }
}

type Offset = (atMs: number) => number

function startOfDay(atMs: number, offsetAt: Offset): number {
  const localDay = Math.floor((atMs + offsetAt(atMs)) / dayMs) * dayMs
  let startMs = localDay - offsetAt(atMs)
  startMs = localDay - offsetAt(startMs)
  // Where midnight is left out the day begins later, where it comes twice with the first one.
  while (startMs + offsetAt(startMs) < localDay) startMs += quarterMs
  while (startMs - quarterMs + offsetAt(startMs - quarterMs) >= localDay) startMs -= quarterMs
  return startMs
}

/** What the clocks of a zone are ahead of UTC, by time. */
function zoneOffset(zone: string): Offset {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit'
  })
  return (atMs) => {
    const parts = new Map(format.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]))
    const part = (name: Intl.DateTimeFormatPartTypes): number => parts.get(name) ?? 0
    const local = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'))
    return local - Math.floor(atMs / 1_000) * 1_000
  }
}
