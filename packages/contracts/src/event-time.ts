// Event time, decided from the record alone, so every copy of an event and every replay of the log agree on it.
import { parseIsoTime } from './iso-time.ts'

/** A client clock is corrected when it is further off than this; less is network jitter. */
const clockToleranceMs = 60_000

/** The members of an event that decide its time; times are ISO 8601 texts. */
export interface TimedEvent {
  readonly eventId?: string | undefined
  readonly timestamp?: string | undefined
  readonly sentAt?: string | undefined
}

/** The time of an event in epoch milliseconds, and whether another receipt could give another time. */
export interface EventTime {
  readonly timestampMs: number
  readonly sentAtMs: number | undefined
  readonly dependsOnReceipt: boolean
}

/**
 * The time of `event` received at `receivedAtMs`: its `timestamp`, shifted by `receivedAt - sentAt` if that exceeds 60 s
 * either way; without a timestamp the time inside a UUIDv7 eventId, else the receipt. Never after the receipt.
 * Undefined with the name of the member that is not a time.
 */
export function resolveEventTime(
  event: TimedEvent,
  receivedAtMs: number
): ({ readonly ok: true } & EventTime) | { readonly ok: false; readonly member: 'timestamp' | 'sentAt' } {
  const sentAtMs = event.sentAt === undefined ? undefined : parseIsoTime(event.sentAt)
  if (event.sentAt !== undefined && sentAtMs === undefined) return { ok: false, member: 'sentAt' }
  const ok = true
  if (event.timestamp === undefined) {
    const made = event.eventId === undefined ? undefined : uuidV7Time(event.eventId)
    const dependsOnReceipt = made === undefined || made > receivedAtMs
    return { ok, timestampMs: Math.min(made ?? receivedAtMs, receivedAtMs), sentAtMs, dependsOnReceipt }
  }
  const claimed = parseIsoTime(event.timestamp)
  if (claimed === undefined) return { ok: false, member: 'timestamp' }
  const skew = sentAtMs === undefined ? 0 : receivedAtMs - sentAtMs
  const shift = Math.abs(skew) > clockToleranceMs ? skew : 0
  const dependsOnReceipt = shift !== 0 || claimed > receivedAtMs
  return { ok, timestampMs: Math.min(claimed + shift, receivedAtMs), sentAtMs, dependsOnReceipt }
}

/** Epoch milliseconds inside a UUIDv7 in its canonical form (either case), else undefined. */
export function uuidV7Time(id: string): number | undefined {
  if (id.length !== 36 || id[14] !== '7') return undefined
  let time = 0
  for (let index = 0; index < 36; index++) {
    const code = id.charCodeAt(index)
    if (index === 8 || index === 13 || index === 18 || index === 23) {
      if (code !== 45) return undefined
      continue
    }
    const digit = hexDigit(code)
    if (digit < 0 || (index === 19 && (digit < 8 || digit > 11))) return undefined
    if (index < 13) time = time * 16 + digit
  }
  return time
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}
