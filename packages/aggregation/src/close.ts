// Closing and deletion by the project's clock, never by the wall clock: what was not emitted is never deleted, what is
// deleted never comes back. The owner of partition 0 runs both; they are safe whoever runs them.
import { addWindows } from './apply.ts'
import { contributionDeltas, contributionOf } from './sessions.ts'
import { inOrder, liveEpoch, partitionOf, withEpoch, writableEpoch } from './state.ts'
import type { Broken, EpochState, ProjectState, Step, WrongEpoch } from './state.ts'
import type { Timing } from './timing.ts'

/** What the caller knows of the topic: a metadata reply, and the local time before that request minus the margin. */
export interface TopicCount {
  readonly epoch: number
  readonly partitions: number
  readonly countedAtMs: number
  /** At most this many windows, sessions and seen hours a call; `changed` = `limit` says that more may be due. */
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
  const rest = topic.limit - windows.changed
  const sessions = closeSessions(windows.epoch, clock - timing.sessionIdleMs - settleMs(timing), rest)
  const changed = windows.changed + sessions.changed
  return { project: withEpoch(project, topic.epoch, sessions.epoch), reply: { kind: 'ok', changed } }
}

/** How long after its end a span is complete: late enough for the last on-time event, and for clocks that differ. */
export function settleMs({ latenessMs, marginMs }: Timing): number {
  return latenessMs + marginMs
}

function closeWindows(epoch: EpochState, clock: number, limit: number): Changed {
  const open = [...epoch.windows].filter(([, window]) => !window.closed && clock >= window.closeAtMs)
  const due = inOrder(open, ({ closeAtMs }) => closeAtMs).slice(0, limit)
  if (due.length === 0) return { epoch, changed: 0 }
  const windows = new Map(epoch.windows)
  const dirty = new Set(epoch.dirty)
  for (const [name, window] of due) {
    windows.set(name, { ...window, closed: true })
    if (window.startMs >= epoch.completeFromMs) dirty.add(name)
  }
  return { epoch: { ...epoch, windows, dirty }, changed: due.length }
}

function closeSessions(epoch: EpochState, lastMs: number, limit: number): Changed {
  const idle = [...epoch.sessions].filter(([, session]) => !session.closed && session.lastMs <= lastMs)
  const due = inOrder(idle, (session) => session.lastMs).slice(0, limit)
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
  const { epoch: kept, changed } = removeSeen(epoch, clock, timing, topic.limit)
  const rest = epoch.stage === 'building' ? 0 : topic.limit - changed
  const left = removeSessions(removeWindows({ epoch: kept, rest, changed }, clock), clock - timing.sessionKeepMs)
  return { project: withEpoch(project, topic.epoch, left.epoch), reply: { kind: 'ok', changed: left.changed } }
}

/** One number tells which hours are gone, so that their ids are refused and not counted again. */
function removeSeen(epoch: EpochState, clock: number, timing: Timing, limit: number): Changed {
  const due = Math.floor((clock - timing.latenessMs - timing.seenKeepMs) / timing.hourMs) - 1
  const hours = [...epoch.seen.keys()].filter((hour) => hour <= due).sort((a, b) => a - b)
  const through = hours[limit - 1] ?? due
  if (through <= epoch.deletedThrough) return { epoch, changed: 0 }
  const seen = new Map([...epoch.seen].filter(([hour]) => hour > through))
  return { epoch: { ...epoch, seen, deletedThrough: through }, changed: epoch.seen.size - seen.size }
}

interface Changed {
  readonly epoch: EpochState
  readonly changed: number
}

/** What is left of a call: `rest` counts keys, and a window has one more for each HyperLogLog. */
interface Removal extends Changed {
  readonly rest: number
}

/** Looks at the `rest` windows that are due first; those that wait for their emission stay. */
function removeWindows({ epoch, rest, changed }: Removal, clock: number): Removal {
  const { completeFromMs, dirty } = epoch
  const due = [...epoch.windows].filter(([, window]) => clock >= window.deleteAtMs)
  const windows = new Map(epoch.windows)
  let left = rest
  for (const [name, window] of inOrder(due, ({ deleteAtMs }) => deleteAtMs).slice(0, rest)) {
    if (left <= 0 || dirty.has(name) || !(window.closed || window.startMs < completeFromMs)) continue
    windows.delete(name)
    left -= 1 + [...window.values.values()].filter(({ members }) => members.size > 0).length
  }
  const gone = epoch.windows.size - windows.size
  return { epoch: gone === 0 ? epoch : { ...epoch, windows }, rest: Math.max(0, left), changed: changed + gone }
}

function removeSessions({ epoch, rest, changed }: Removal, lastMs: number): Changed {
  const due = [...epoch.sessions].filter(([, { closed, lastMs: own }]) => closed && own <= lastMs)
  const sessions = new Map(epoch.sessions)
  for (const [id] of inOrder(due, (held) => held.lastMs).slice(0, rest)) {
    if (!epoch.dirtySessions.has(id)) sessions.delete(id)
  }
  const gone = epoch.sessions.size - sessions.size
  return { epoch: gone === 0 ? epoch : { ...epoch, sessions }, changed: changed + gone }
}
