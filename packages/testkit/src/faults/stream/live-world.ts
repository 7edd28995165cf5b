// A moment of real time in which windows close soon: events lie in the last seconds of a minute that is over, and the
// lateness is what is left of the load, so the minute closes right after it.
import { systemClock } from '@millrace/kernel'
import type { StreamTiming } from './gather.ts'

export interface LiveWorld {
  readonly timing: StreamTiming
  /** Events between these are on time when they are appended before `writeUntilMs`. */
  readonly fromMs: number
  readonly toMs: number
  readonly writeUntilMs: number
  /** An event at this time is late whenever it is appended from now on. */
  readonly lateMs: number
  /** A clock that has come here has closed all of it. */
  readonly closedAtMs: number
}

const minuteMs = 60_000
/** What the judgement leaves to closing and telling. */
const graceMs = 4_000
const eventsMs = 5_000
const marginMs = 200

/** A world that is written within `spanMs` from now. */
export function openLiveWorld(spanMs: number, sessionIdleMs = 1_000): LiveWorld {
  const now = systemClock.now()
  const toMs = Math.floor((now - eventsMs) / minuteMs) * minuteMs
  const latenessMs = now + spanMs - toMs
  return {
    timing: { latenessMs, marginMs, sessionIdleMs },
    fromMs: toMs - eventsMs,
    toMs,
    writeUntilMs: now + spanMs - eventsMs - 500,
    lateMs: toMs - spanMs - 1_000,
    closedAtMs: now + spanMs + marginMs + sessionIdleMs + graceMs
  }
}
