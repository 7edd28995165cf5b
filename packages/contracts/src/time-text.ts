// ISO 8601 texts of times, for rows: a row has four, and most rows of a minute lie on one day.

const dayMs = 86_400_000

const twoDigits = Array.from({ length: 100 }, (_, number) => String(number).padStart(2, '0'))
const threeDigits = Array.from({ length: 1_000 }, (_, number) => String(number).padStart(3, '0'))

/** Writes epoch milliseconds from 1970 to 9999 as `Date.toISOString` does, and remembers the days of the last ones. */
export function createTimeText(): (ms: number) => string {
  const days = new Map<number, string>()
  const dayText = (day: number): string => {
    const known = days.get(day)
    if (known !== undefined) return known
    if (days.size >= 1_000) days.clear()
    const text = new Date(day * dayMs).toISOString().slice(0, 11)
    days.set(day, text)
    return text
  }
  return (ms) => {
    const day = Math.floor(ms / dayMs)
    const inDay = ms - day * dayMs
    const seconds = Math.floor(inDay / 1_000)
    const minutes = Math.floor(seconds / 60)
    const hours = Math.floor(minutes / 60)
    return `${dayText(day)}${twoDigits[hours]}:${twoDigits[minutes - hours * 60]}:${twoDigits[seconds - minutes * 60]}.${
      threeDigits[inDay - seconds * 1_000]
    }Z`
  }
}
