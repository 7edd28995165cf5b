// What Redis holds of one project, as values: the reducers of this folder are the meaning of the scripts, and a test
// holds script and reducer equal. One reducer is one script: it happens as a whole or not at all.
import type { SessionState } from './sessions.ts'
import type { WindowState } from './windows.ts'

/** Everything of one project. The pointer names the live epoch; what else there is belongs to an epoch. */
export interface ProjectState {
  /** 0 = none: a new project, or everything was lost. */
  readonly pointer: number
  readonly epochs: ReadonlyMap<number, EpochState>
}

/**
 * | stage    | entered by                      | left by                                              |
 * | -------- | ------------------------------- | ---------------------------------------------------- |
 * | building | a rebuild                       | flip: live; abort: deleted                           |
 * | live     | first start, state lost, a flip | seal: sealing; another epoch flipped to: deleted     |
 * | sealing  | seal                            | unseal: live; flip or replacement: deleted           |
 */
export type EpochStage = 'building' | 'live' | 'sealing'

/** One build of a project's state from the log. Nothing of it expires by the wall clock. */
export interface EpochState {
  readonly stage: EpochStage
  /** Windows, days and sessions that begin before this were not seen whole: never emitted. */
  readonly completeFromMs: number
  /** The call that began to write and did not end; while it is there the epoch takes nothing. */
  readonly torn: string | undefined
  /** By partition number; its length is the number of partitions that this epoch knows of. */
  readonly partitions: readonly PartitionState[]
  /** Digests of counted ids by hour of event time. */
  readonly seen: ReadonlyMap<number, ReadonlySet<string>>
  /** Seen hours up to this one are deleted; -1 = none. */
  readonly deletedThrough: number
  /** By name. */
  readonly windows: ReadonlyMap<string, WindowState>
  /** Names of windows whose value was not emitted since it changed. */
  readonly dirty: ReadonlySet<string>
  /** By session id. */
  readonly sessions: ReadonlyMap<string, SessionState>
  /** Closed sessions that were not emitted since they closed. */
  readonly dirtySessions: ReadonlySet<string>
  /** Late records applied; records left out because their hour was deleted; offsets lost to retention. */
  readonly counts: { readonly late: number; readonly closed: number; readonly expired: number }
}

export interface PartitionState {
  /** The next offset to apply. */
  readonly position: bigint
  /** Append time of the record before `position`, the fingerprint of the log; -1 = no record was applied. */
  readonly appendedAtMs: number
  /** Every record appended before this is applied; -1 = nothing is known. It only rises. */
  readonly clockMs: number
}

/** The state after a script and what the script answered. */
export interface Step<R> {
  readonly project: ProjectState
  readonly reply: R
}

/** The epoch is not the one to be written: read pointer and positions again. */
export interface WrongEpoch {
  readonly kind: 'epoch'
}

/** A script ended in the middle: alarm, wait, and build a new epoch. */
export interface Broken {
  readonly kind: 'broken'
  readonly torn: string
}

/** An empty Redis. */
export const emptyProject: ProjectState = { pointer: 0, epochs: new Map() }

const untouched: PartitionState = { position: 0n, appendedAtMs: -1, clockMs: -1 }

/** State of one partition; a partition that was never written begins at offset 0. */
export function partitionOf(epoch: EpochState, partition: number): PartitionState {
  return epoch.partitions[partition] ?? untouched
}

/** The partitions of `epoch` with another state of one of them; what lies between is untouched. */
export function withPartition(epoch: EpochState, partition: number, state: PartitionState): readonly PartitionState[] {
  const length = Math.max(epoch.partitions.length, partition + 1)
  return Array.from({ length }, (_, index) => (index === partition ? state : partitionOf(epoch, index)))
}

/** `project` with another state of one epoch. */
export function withEpoch(project: ProjectState, number: number, epoch: EpochState): ProjectState {
  return { ...project, epochs: new Map(project.epochs).set(number, epoch) }
}

/** The live epoch if it is `number`. */
export function liveEpoch(project: ProjectState, number: number): EpochState | undefined {
  return number === project.pointer ? project.epochs.get(number) : undefined
}

/** The epoch that may be written under `number`: the live one, or one being built, which is always above it. */
export function writableEpoch(project: ProjectState, number: number): EpochState | undefined {
  const epoch = project.epochs.get(number)
  const isBuilding = epoch?.stage === 'building' && number > project.pointer
  return number === project.pointer || isBuilding ? epoch : undefined
}

/** Entries in the order of Redis: by score, then by the bytes of the name. */
export function inOrder<V>(entries: readonly (readonly [string, V])[], scoreOf: (value: V) => number): [string, V][] {
  const order = (a: readonly [string, V], b: readonly [string, V]): number =>
    scoreOf(a[1]) - scoreOf(b[1]) || Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0]))
  return entries.map(([name, value]): [string, V] => [name, value]).sort(order)
}
