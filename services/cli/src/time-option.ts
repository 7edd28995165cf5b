// Times as options: ISO 8601 with a zone, or so long ago.
import { UsageError } from './output.ts'

const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * A time as epoch milliseconds: `2026-01-31`, `2026-01-31T10:00:00Z`, or `30m`, `2h`, `7d` before `nowMs` where that is
 * given. Throws a UsageError that names the option.
 */
export function timeOf(option: string, text: string, nowMs?: number): number {
  const ago = /^(\d{1,6})([mhd])$/.exec(text)
  if (ago !== null && nowMs !== undefined) return nowMs - Number(ago[1]) * (units[ago[2] ?? ''] ?? 0)
  const isIso = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
  const parsed = isIso ? Date.parse(text) : Number.NaN
  const short = nowMs === undefined ? '' : ', or 30m, 2h, 7d ago'
  if (Number.isNaN(parsed))
    throw new UsageError(`${option} is a time such as 2026-01-31T10:00:00Z${short}, not '${text}'`)
  return parsed
}
