// A log of the past, written with its append times before any aggregator runs: what a group finds that was away for
// hours. Everything in it is over by now, so all of it must be closed and told as soon as it is applied.
import { systemClock } from '@millrace/kernel'
import type { Random } from '../../random.ts'
import type { StreamTiming } from './gather.ts'
import { makeEvents } from './make-events.ts'
import type { Copy, StreamEvent } from './make-events.ts'

/** Windows close soon after their end, in the time of the log. */
export const backlogTiming: StreamTiming = { latenessMs: 20_000, marginMs: 200, sessionIdleMs: 5_000 }

export interface BacklogOptions {
  readonly run: string
  readonly sessions: number
  /** How long ago it begins. */
  readonly sinceMs: number
  /** Share of the events that are there again, default 0.3; one of five copies comes too late. */
  readonly copyShare?: number
  readonly mostEvents?: number
}

export interface Backlog {
  readonly events: readonly StreamEvent[]
  readonly copies: readonly Copy[]
  /** A clock that has come here has closed all of it. */
  readonly closedAtMs: number
}

const minuteMs = 60_000

/** A backlog that ends with the last minute that is settled by now. */
export function makeBacklog(random: Random, options: BacklogOptions, timing = backlogTiming): Backlog {
  const { run, sessions, sinceMs, copyShare = 0.3, mostEvents = 9 } = options
  const now = systemClock.now()
  const toMs = Math.floor((now - timing.latenessMs - timing.sessionIdleMs - 2_000) / minuteMs) * minuteMs
  const fromMs = now - sinceMs
  const events = makeEvents(random, { run, sessions, fromMs, toMs, mostEvents, gapMs: timing.sessionIdleMs })
  const copies = events.flatMap((event) => appendings(random, event, { copyShare, latenessMs: timing.latenessMs }))
  return { events, copies, closedAtMs: toMs + timing.latenessMs + timing.marginMs + timing.sessionIdleMs }
}

/** The first copy is on time, but for one of fifty; others follow at once or within twice the lateness. */
function appendings(
  random: Random,
  { eventId, value, atMs }: StreamEvent,
  { copyShare, latenessMs }: { readonly copyShare: number; readonly latenessMs: number }
): readonly Copy[] {
  const at = (delayMs: number): Copy => ({ eventId, value, appendedAtMs: atMs + delayMs })
  const isLate = random.chance(0.02)
  const first = at(isLate ? latenessMs + 1 + random.below(60_000) : random.below(latenessMs))
  if (!random.chance(copyShare)) return [first]
  const again = at(random.chance(0.2) ? latenessMs + 1 + random.below(latenessMs) : random.below(latenessMs))
  return [first, again]
}
