// Epochs: a state is built once and never repaired. What is lost, torn or wrong is replaced by another build from the
// log under a higher number; the pointer only rises, so a starter that was frozen for an hour cannot move it back.
import { liveEpoch, partitionOf, withEpoch } from './state.ts'
import type { Broken, EpochStage, EpochState, ProjectState, Step } from './state.ts'

/** The durable row of an epoch. A row `flipping` or `live` is never aborted. */
export interface EpochRow {
  readonly state: 'building' | 'flipping' | 'live' | 'aborted'
  readonly startOffsets: readonly bigint[]
  readonly completeFromMs: number
}

export type InitReply = { readonly kind: 'ok' } | { readonly kind: 'lost-race' }
export type SealReply = { readonly kind: 'ok'; readonly positions: readonly bigint[] } | { readonly kind: 'epoch' }
export type FlipReply =
  | { readonly kind: 'ok' }
  | { readonly kind: 'epoch' }
  | { readonly kind: 'not-sealed' }
  /** The new epoch has applied less than the old one: go on building. */
  | { readonly kind: 'behind' }
  | Broken
export type AbortReply = { readonly kind: 'ok' } | { readonly kind: 'live' }

/** First start and state lost: the keys of epoch `number` and the pointer to it, unless the pointer is there already. */
export function initEpoch(project: ProjectState, number: number, row: EpochRow): Step<InitReply> {
  if (project.pointer >= number || project.epochs.has(number)) return { project, reply: { kind: 'lost-race' } }
  return { project: { ...withEpoch(project, number, fresh('live', row)), pointer: number }, reply: { kind: 'ok' } }
}

/**
 * A rebuild beside the live epoch: it is filled, closes nothing and emits nothing. A second begin of a build that is
 * there goes on with it. Numbers are never used again.
 */
export function beginRebuild(project: ProjectState, number: number, row: EpochRow): Step<InitReply> {
  const held = project.epochs.get(number)
  if (project.pointer >= number || (held !== undefined && held.stage !== 'building')) {
    return { project, reply: { kind: 'lost-race' } }
  }
  if (held !== undefined) return { project, reply: { kind: 'ok' } }
  return { project: withEpoch(project, number, fresh('building', row)), reply: { kind: 'ok' } }
}

/** Stops the live epoch at fixed positions. That is for progress; that nothing moves back is the work of `flip`. */
export function seal(project: ProjectState): Step<SealReply> {
  const live = liveEpoch(project, project.pointer)
  if (live === undefined) return { project, reply: { kind: 'epoch' } }
  const positions = live.partitions.map(({ position }) => position)
  return {
    project: withEpoch(project, project.pointer, { ...live, stage: 'sealing' }),
    reply: { kind: 'ok', positions }
  }
}

/** Lets a sealed epoch go on; a seal that nobody followed up is lifted after a while. */
export function unseal(project: ProjectState): ProjectState {
  const live = liveEpoch(project, project.pointer)
  return live?.stage === 'sealing' ? withEpoch(project, project.pointer, { ...live, stage: 'live' }) : project
}

/** Makes `number` the live epoch if it has applied all that the sealed one had, over the partitions of both. */
export function flip(project: ProjectState, number: number): Step<FlipReply> {
  const refuse = (kind: 'epoch' | 'not-sealed' | 'behind'): Step<FlipReply> => ({ project, reply: { kind } })
  const built = project.epochs.get(number)
  const live = liveEpoch(project, project.pointer)
  if (built?.stage !== 'building' || live === undefined || number <= project.pointer) return refuse('epoch')
  if (built.torn !== undefined) return { project, reply: { kind: 'broken', torn: built.torn } }
  if (live.stage !== 'sealing') return refuse('not-sealed')
  const count = Math.max(built.partitions.length, live.partitions.length)
  for (let index = 0; index < count; index++) {
    if (partitionOf(built, index).position < partitionOf(live, index).position) return refuse('behind')
  }
  return { project: replaceLive(project, number, built), reply: { kind: 'ok' } }
}

/**
 * Makes the empty epoch `number` the live one over a sealed one, for a topic that was deleted and created again: the
 * positions of the two logs do not compare. The order seal, recreate, replace keeps every range of the old log out.
 */
export function replaceEpoch(project: ProjectState, number: number, row: EpochRow): Step<FlipReply> {
  const live = liveEpoch(project, project.pointer)
  const isTaken = number <= project.pointer || project.epochs.has(number)
  if (live === undefined || isTaken) return { project, reply: { kind: 'epoch' } }
  if (live.stage !== 'sealing') return { project, reply: { kind: 'not-sealed' } }
  return { project: replaceLive(project, number, fresh('live', row)), reply: { kind: 'ok' } }
}

/** Gives up a build. The live epoch goes on. */
export function abortEpoch(project: ProjectState, number: number): Step<AbortReply> {
  if (project.pointer === number) return { project, reply: { kind: 'live' } }
  const epochs = new Map(project.epochs)
  epochs.delete(number)
  return { project: unseal({ ...project, epochs }), reply: { kind: 'ok' } }
}

/** What an owner does about pointer and rows, compared on assignment and every few seconds. */
export type EpochCheck =
  | { readonly kind: 'run'; readonly epoch: number }
  /** The keys are gone: a new epoch from the log. */
  | { readonly kind: 'lost' }
  /** It is torn, and a decided flip to it cannot come true either: build another one. */
  | { readonly kind: 'broken'; readonly epoch: number }
  /** A flip was decided and not finished: do it again. */
  | { readonly kind: 'finish-flip'; readonly epoch: number }

/** What of a project's state the check looks at. */
export interface KnownEpochs {
  readonly pointer: number
  readonly epochs: ReadonlyMap<number, Pick<EpochState, 'torn'>>
}

/** Compares what Redis has with the rows, by number; a row `flipping` or `live` above the pointer must come true. */
export function checkEpoch(project: KnownEpochs, rows: ReadonlyMap<number, Pick<EpochRow, 'state'>>): EpochCheck {
  const decided = [...rows]
    .filter(([, { state }]) => state === 'flipping' || state === 'live')
    .map(([number]) => number)
  const above = Math.max(0, ...decided.filter((number) => number > project.pointer))
  const number = above > 0 ? above : project.pointer
  const epoch = project.epochs.get(number)
  if (epoch === undefined || !project.epochs.has(project.pointer)) return { kind: 'lost' }
  if (epoch.torn !== undefined) return { kind: 'broken', epoch: number }
  return above > 0 ? { kind: 'finish-flip', epoch: number } : { kind: 'run', epoch: number }
}

/** Held windows are emitted anew under the higher number. Lower epochs are over, given up or torn. */
function replaceLive(project: ProjectState, number: number, epoch: EpochState): ProjectState {
  const epochs = new Map([...project.epochs].filter(([other]) => other >= number))
  const held = [...epoch.windows].filter(([, { startMs }]) => startMs >= epoch.completeFromMs).map(([name]) => name)
  epochs.set(number, { ...epoch, stage: 'live', dirty: new Set(held) })
  return { pointer: number, epochs }
}

function fresh(stage: EpochStage, { startOffsets, completeFromMs }: EpochRow): EpochState {
  return {
    stage,
    completeFromMs,
    torn: undefined,
    partitions: startOffsets.map((position) => ({ position, appendedAtMs: -1, clockMs: -1 })),
    seen: new Map(),
    deletedThrough: -1,
    windows: new Map(),
    dirty: new Set(),
    sessions: new Map(),
    dirtySessions: new Set(),
    counts: { late: 0, closed: 0, expired: 0 }
  }
}
