// One batch of one partition, applied as a whole or not at all. State after it = f(log up to the position), and f is a
// fold of sets and commutative sums: whoever applies a range, how often, after whatever rollback, the result is the same.
// Order: epoch, torn, sealed, position, look-ups of every id, then writes. Nothing is written before all is looked up.
import { mergeSession } from './sessions.ts'
import type { SessionMerge } from './sessions.ts'
import { partitionOf, withEpoch, withPartition, writableEpoch } from './state.ts'
import type { Broken, EpochState, ProjectState, Step, WrongEpoch } from './state.ts'
import { addToWindow } from './windows.ts'
import type { WindowDelta } from './windows.ts'

/** A folded range of one partition. With `from` = `to` only the clock is told: nothing was there up to that time. */
export interface ApplyCall {
  readonly epoch: number
  readonly partition: number
  /** The position that the caller believes; equality with the stored one is what makes a second apply impossible. */
  readonly from: bigint
  readonly to: bigint
  /** Append time of the last record; -1 for an empty range. */
  readonly appendedAtMs: number
  /** Every record appended before this is in the range or before it. */
  readonly clockMs: number
  /** Digests of the ids of on-time records by hour, each once. */
  readonly hours: readonly SeenHour[]
  /** Ids that an earlier try of this range was told to leave out, with the hours that they may be counted in. */
  readonly leftOut: readonly LeftOut[]
  readonly windows: readonly WindowDelta[]
  readonly sessions: readonly SessionMerge[]
  /** Late records of the range, records of deleted hours, and offsets that retention took. */
  readonly late: number
  readonly closed: number
  readonly expired: number
}

/** Ids counted in `hour`. Those in `elsewhere` belong to a neighbouring hour and must not be here either. */
export interface SeenHour {
  readonly hour: number
  readonly ids: readonly string[]
  readonly elsewhere: readonly string[]
}

export interface LeftOut {
  readonly id: string
  readonly hours: readonly number[]
}

export type ApplyReply =
  | { readonly kind: 'ok' }
  | WrongEpoch
  | Broken
  /** The epoch is about to be replaced: wait. */
  | { readonly kind: 'sealed' }
  /** The range was applied, by whomever. */
  | { readonly kind: 'done'; readonly position: bigint }
  /** The position is not `from`: drop the buffer and seek there. */
  | { readonly kind: 'gap'; readonly position: bigint }
  /** These ids are counted, or their hour is at or before `deletedThrough`: fold again without them. */
  | { readonly kind: 'duplicate'; readonly ids: readonly string[]; readonly deletedThrough: number }
  /** An id that was left out is not counted any more (a rollback came between): fold again with all. */
  | { readonly kind: 'refold' }

/** Applies `call` to the live epoch or to one that is being built. */
export function apply(project: ProjectState, call: ApplyCall): Step<ApplyReply> {
  const refuse = (reply: ApplyReply): Step<ApplyReply> => ({ project, reply })
  const epoch = writableEpoch(project, call.epoch)
  if (epoch === undefined) return refuse({ kind: 'epoch' })
  if (epoch.torn !== undefined) return refuse({ kind: 'broken', torn: epoch.torn })
  if (epoch.stage === 'sealing') return refuse({ kind: 'sealed' })
  const { position } = partitionOf(epoch, call.partition)
  if (call.from !== position) return refuse({ kind: call.to <= position ? 'done' : 'gap', position })
  const found = lookUp(epoch, call)
  if (found !== undefined) return refuse(found)
  return { project: withEpoch(project, call.epoch, write(epoch, call)), reply: { kind: 'ok' } }
}

/** Why the ids of `call` may not be counted as they are. */
function lookUp(epoch: EpochState, { hours, leftOut }: ApplyCall): ApplyReply | undefined {
  const has = (hour: number, id: string): boolean => epoch.seen.get(hour)?.has(id) ?? false
  const { deletedThrough } = epoch
  for (const { id, hours: possible } of leftOut) {
    if (!possible.some((hour) => hour <= deletedThrough || has(hour, id))) return { kind: 'refold' }
  }
  const ids = hours.flatMap(({ hour, ids: own, elsewhere }) => [
    ...own.filter((id) => hour <= deletedThrough || has(hour, id)),
    ...elsewhere.filter((id) => has(hour, id))
  ])
  return ids.length === 0 ? undefined : { kind: 'duplicate', ids: [...new Set(ids)], deletedThrough }
}

function write(epoch: EpochState, call: ApplyCall): EpochState {
  const held = partitionOf(epoch, call.partition)
  const clockMs = Math.max(held.clockMs, call.clockMs)
  if (call.from === call.to) {
    return { ...epoch, partitions: withPartition(epoch, call.partition, { ...held, clockMs }) }
  }
  const state = { position: call.to, appendedAtMs: call.appendedAtMs, clockMs }
  const seen = new Map(epoch.seen)
  for (const { hour, ids } of call.hours) {
    if (ids.length > 0) seen.set(hour, new Set([...(seen.get(hour) ?? []), ...ids]))
  }
  const { late, closed, expired } = epoch.counts
  const counts = { late: late + call.late, closed: closed + call.closed, expired: expired + call.expired }
  const partitions = withPartition(epoch, call.partition, state)
  return mergeSessions(addWindows({ ...epoch, partitions, seen, counts }, call.windows), call.sessions)
}

/** The epoch with `deltas` added. A building epoch emits nothing, and nothing that began before it was complete. */
export function addWindows(epoch: EpochState, deltas: readonly WindowDelta[]): EpochState {
  if (deltas.length === 0) return epoch
  const windows = new Map(epoch.windows)
  const dirty = new Set(epoch.dirty)
  for (const delta of deltas) {
    windows.set(delta.name, addToWindow(windows.get(delta.name), delta))
    if (epoch.stage !== 'building' && delta.startMs >= epoch.completeFromMs) dirty.add(delta.name)
  }
  return { ...epoch, windows, dirty }
}

function mergeSessions(epoch: EpochState, merges: readonly SessionMerge[]): EpochState {
  if (merges.length === 0) return epoch
  const sessions = new Map(epoch.sessions)
  const dirtySessions = new Set(epoch.dirtySessions)
  for (const merge of merges) {
    sessions.set(merge.sessionId, mergeSession(sessions.get(merge.sessionId), merge))
    dirtySessions.delete(merge.sessionId)
  }
  return { ...epoch, sessions, dirtySessions }
}
