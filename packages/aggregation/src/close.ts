// Closing and deletion by the project's clock, never by the wall clock: what was not emitted is never deleted, what is
// deleted never comes back. The owner of partition 0 runs both; they are safe whoever runs them.
import { addWindows } from './apply.ts'
import { contributionDeltas, contributionOf } from './sessions.ts'
import { liveEpoch, partitionOf, withEpoch, writableEpoch } from './state.ts'
import type { Broken, EpochState, ProjectState, Step, WrongEpoch } from './state.ts'
import type { Timing } from './timing.ts'

/** What the caller knows of the topic: a metadata reply, and the local time before that request minus the margin. */
export interface TopicCount {
  readonly epoch: number
  readonly partitions: number
  readonly countedAtMs: number
  /** At most this many windows and sessions a call. */
  readonly limit: number
}

export type ClockReply = { readonly kind: 'ok'; readonly changed: number } | WrongEpoch | Broken

/**
 * The project's clock: every on-time record appended before it is applied, in every partition. A partition that the
 * counted reply did not show was created after it, so its records are appended after `countedAtMs`.
 */
export function projectClock(epoch: EpochState, { partitions, countedAtMs }: TopicCount): number {
  const count = Math.max(epoch.partitions.length, partitions)
  let clock = countedAtMs
  for (let index = 0; index < count; index++) clock = Math.min(clock, partitionOf(epoch, index).clockMs)
  return clock
}

/** Closes what is due: windows become final, sessions are over and go into the session metrics. */
export function close(project: ProjectState, topic: TopicCount, timing: Timing): Step<ClockReply> {
  const epoch = liveEpoch(project, topic.epoch)
  if (epoch === undefined) return { project, reply: { kind: 'epoch' } }
  if (epoch.torn !== undefined) return { project, reply: { kind: 'broken', torn: epoch.torn } }
  const clock = projectClock(epoch, topic)
  const known = Array.from({ length: Math.max(epoch.partitions.length, topic.partitions) }, (_, index) =>
    partitionOf(epoch, index)
  )
  const windows = closeWindows({ ...epoch, partitions: known }, clock, topic.limit)
  const sessions = closeSessions(windows.epoch, clock - timing.sessionIdleMs - settleMs(timing), topic.limit)
  const changed = windows.changed + sessions.changed
  return { project: withEpoch(project, topic.epoch, sessions.epoch), reply: { kind: 'ok', changed } }
}

/** How long after its end a span is complete: late enough for the last on-time event, and for clocks that differ. */
export function settleMs({ latenessMs, marginMs }: Timing): number {
  return latenessMs + marginMs
}

function closeWindows(epoch: EpochState, clock: number, limit: number): { epoch: EpochState; changed: number } {
  const due = [...epoch.windows]
    .filter(([, window]) => !window.closed && clock >= window.closeAtMs)
    .sort(([, a], [, b]) => a.closeAtMs - b.closeAtMs)
    .slice(0, limit)
  if (due.length === 0) return { epoch, changed: 0 }
  const windows = new Map(epoch.windows)
  const dirty = new Set(epoch.dirty)
  for (const [name, window] of due) {
    windows.set(name, { ...window, closed: true })
    if (window.startMs >= epoch.completeFromMs) dirty.add(name)
  }
  return { epoch: { ...epoch, windows, dirty }, changed: due.length }
}

function closeSessions(epoch: EpochState, lastMs: number, limit: number): { epoch: EpochState; changed: number } {
  const due = [...epoch.sessions]
    .filter(([, session]) => !session.closed && session.lastMs <= lastMs)
    .sort(([, a], [, b]) => a.lastMs - b.lastMs)
    .slice(0, limit)
  if (due.length === 0) return { epoch, changed: 0 }
  const sessions = new Map(epoch.sessions)
  const dirtySessions = new Set(epoch.dirtySessions)
  let next = epoch
  for (const [id, session] of due) {
    const whole = session.firstMs >= epoch.completeFromMs
    const contributed = whole ? contributionOf(session) : session.contributed
    sessions.set(id, { ...session, closed: true, contributed })
    if (contributed === undefined || !whole) continue
    dirtySessions.add(id)
    next = addWindows(next, contributionDeltas(session.contributed, contributed))
  }
  return { epoch: { ...next, sessions, dirtySessions }, changed: due.length }
}

/** Deletes what nobody needs any more. A building epoch deletes seen hours alone: it has emitted nothing. */
export function remove(project: ProjectState, topic: TopicCount, timing: Timing): Step<ClockReply> {
  const epoch = writableEpoch(project, topic.epoch)
  if (epoch === undefined) return { project, reply: { kind: 'epoch' } }
  if (epoch.torn !== undefined) return { project, reply: { kind: 'broken', torn: epoch.torn } }
  const clock = projectClock(epoch, topic)
  const without = removeSeen(epoch, clock, timing)
  const keep = epoch.stage === 'building' ? without : removeEmitted(without, clock, timing, topic.limit)
  const changed = sizeOf(epoch) - sizeOf(keep)
  return { project: withEpoch(project, topic.epoch, keep), reply: { kind: 'ok', changed } }
}

/** One number tells which hours are gone, so that their ids are refused and not counted again. */
function removeSeen(epoch: EpochState, clock: number, timing: Timing): EpochState {
  const through = Math.floor((clock - timing.latenessMs - timing.seenKeepMs) / timing.hourMs) - 1
  if (through <= epoch.deletedThrough) return epoch
  const seen = new Map([...epoch.seen].filter(([hour]) => hour > through))
  return { ...epoch, seen, deletedThrough: through }
}

function removeEmitted(epoch: EpochState, clock: number, timing: Timing, limit: number): EpochState {
  const { completeFromMs, dirty, dirtySessions } = epoch
  const windows = [...epoch.windows]
    .filter(([name, window]) => clock >= window.deleteAtMs && !dirty.has(name))
    .filter(([, window]) => window.closed || window.startMs < completeFromMs)
    .slice(0, limit)
  const sessions = [...epoch.sessions]
    .filter(([id, session]) => clock >= session.lastMs + timing.sessionKeepMs && !dirtySessions.has(id))
    .filter(([, session]) => session.closed || session.firstMs < completeFromMs)
    .slice(0, limit)
  if (windows.length === 0 && sessions.length === 0) return epoch
  return { ...epoch, windows: without(epoch.windows, windows), sessions: without(epoch.sessions, sessions) }
}

function without<V>(all: ReadonlyMap<string, V>, gone: readonly (readonly [string, V])[]): ReadonlyMap<string, V> {
  const kept = new Map(all)
  for (const [key] of gone) kept.delete(key)
  return kept
}

function sizeOf({ seen, windows, sessions }: EpochState): number {
  return seen.size + windows.size + sessions.size
}
