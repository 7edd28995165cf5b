// The projects whose partitions this process holds: the epoch that they are written under, where each partition stands,
// and why a project takes nothing. Positions come from Redis; the Kafka commit is for lag displays alone.
import type { LogVerdict } from '@millrace/aggregation/log-identity'
import type { PartitionState } from '@millrace/aggregation/state'
import { projectOfTopic, rawTopic } from '@millrace/contracts'
import { partitionKey } from '@millrace/kafka'
import type { TopicPartition } from '@millrace/kafka'
import { AppError } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import type { CheckedPartition } from './check-log.ts'
import { eachBounded } from './each-bounded.ts'

/** What may be written of a project now. */
export interface InForce {
  readonly epoch: number
  readonly partitions: readonly PartitionState[]
  /** The call that began to write and did not end; then the epoch takes nothing. */
  readonly torn: string | undefined
}

/** Why a project waits for an operator. */
export const haltReasons = ['torn', 'other-log', 'wrong-type'] as const
export type HaltReason = (typeof haltReasons)[number]

export interface OwnedPartition {
  /** Where this process stands. */
  position: bigint
  /** Append time of the record before it: log and position are known to be of one another. */
  appendedAtMs: number
  /** Rises whenever the position moves or a batch begins or ends, so that a slow look can tell that it is old. */
  moves: number
  /** A batch is on its way. */
  busy: boolean
}

export interface LiveProject {
  readonly project: string
  readonly topic: string
  epoch: number
  halted: HaltReason | undefined
  /** Batches that this process applied. */
  applied: number
  readonly owned: Map<number, OwnedPartition>
}

export interface LiveProjectsDeps {
  /** The epoch in force, made when there is none. */
  readonly inForce: (project: string) => Promise<InForce>
  readonly checkLog: (
    topic: string,
    states: ReadonlyMap<number, PartitionState>
  ) => Promise<ReadonlyMap<number, CheckedPartition>>
  readonly log: Logger
  /** Told after each change of who is halted. */
  readonly onHalted: (counts: ReadonlyMap<HaltReason, number>) => void
}

export interface LiveProjects {
  /** The start positions of an assignment; everything held before is void. Throws what the deps throw. */
  startAt(assigned: readonly TopicPartition[]): Promise<ReadonlyMap<string, bigint>>
  /** The project of a raw topic. Throws PIPE_LIVE_STATE when it is not held any more. */
  of(topic: string): LiveProject
  all(): readonly LiveProject[]
  /**
   * Reads epoch and positions again; returns the partitions whose position is another now, which have to read on from
   * there. Those with a batch on its way are passed over. With `asked` it is the batch of that partition that asks, and
   * all others are left to the next look. Throws what the deps throw.
   */
  reload(live: LiveProject, asked?: number): Promise<readonly number[]>
  halt(live: LiveProject, reason: HaltReason, detail: string): void
}

/** The projects of one process. */
export function createLiveProjects({ inForce, checkLog, log, onHalted }: LiveProjectsDeps): LiveProjects {
  let held = new Map<string, LiveProject>()

  const tellHalted = (): void => {
    const counts = new Map<HaltReason, number>(haltReasons.map((each) => [each, 0]))
    for (const { halted } of held.values()) if (halted !== undefined) counts.set(halted, (counts.get(halted) ?? 0) + 1)
    onHalted(counts)
  }
  const setHalt = (live: LiveProject, reason: HaltReason | undefined): void => {
    live.halted = reason
    tellHalted()
  }

  const halt = (live: LiveProject, reason: HaltReason, detail: string): void => {
    const { project, epoch } = live
    if (live.halted !== reason) log.error({ project, epoch, reason, detail }, 'live state halted: build a new epoch')
    setHalt(live, reason)
  }

  const reload = async (live: LiveProject, asked?: number): Promise<readonly number[]> => {
    const before = new Map([...live.owned].map(([partition, { moves }]) => [partition, moves]))
    const found = await inForce(live.project)
    const looked = [...live.owned].filter(([partition]) => asked === undefined || partition === asked)
    const states = new Map(looked.map(([partition]) => [partition, stateOf(found.partitions, partition)]))
    const mayMove = (partition: number, owned: OwnedPartition): boolean =>
      asked !== undefined || (!owned.busy && owned.moves === before.get(partition))
    const isMoved = ([partition, owned]: readonly [number, OwnedPartition]): boolean =>
      mayMove(partition, owned) && states.get(partition)?.position !== owned.position
    const isSame = found.epoch === live.epoch && live.halted === undefined && found.torn === undefined
    if (isSame && !looked.some(isMoved)) return []
    // What this process has compared or applied itself is not compared again: a rebalance of thousands of partitions
    // would ask the brokers for the times of all of them.
    const isKnown = ([partition, { position, appendedAtMs }]: readonly [number, PartitionState]): boolean => {
      const owned = live.owned.get(partition)
      return live.halted === undefined && position === owned?.position && appendedAtMs === owned.appendedAtMs
    }
    const checked = await checkLog(live.topic, new Map([...states].filter((state) => !isKnown(state))))
    // No look at epoch and positions shows a key of a wrong type; another epoch has keys of its own.
    const isWrong = live.halted === 'wrong-type' && found.epoch === live.epoch
    live.epoch = found.epoch
    const other = [...checked].find(([, { verdict }]) => verdict.kind === 'other')
    if (other !== undefined) halt(live, 'other-log', `partition ${other[0]} is not the log of its position`)
    else if (found.torn !== undefined) halt(live, 'torn', found.torn)
    else if (!isWrong) goOn(live)
    const changed: number[] = []
    for (const [partition, owned] of looked) {
      const state = stateOf(found.partitions, partition)
      const check = checked.get(partition)
      const isOther = check?.verdict.kind === 'other'
      if (check !== undefined) tellExpired(live, partition, check.verdict)
      // Halted partitions stay where they are, so that they are found to have moved when it goes on.
      if (!mayMove(partition, owned) || (live.halted !== undefined && owned.position !== unknown)) continue
      // Past the end of another log nothing can be read; it is held at its end until an operator decides.
      const next = isOther && state.position > check.range.end ? check.range.end : state.position
      owned.appendedAtMs = isOther ? unknownTime : state.appendedAtMs
      if (next === owned.position) continue
      owned.moves++
      owned.position = next
      changed.push(partition)
    }
    return changed
  }

  const goOn = (live: LiveProject): void => {
    if (live.halted === undefined) return
    log.info({ project: live.project, epoch: live.epoch }, 'live state goes on')
    setHalt(live, undefined)
  }

  const tellExpired = ({ topic }: LiveProject, partition: number, verdict: LogVerdict): void => {
    if (verdict.kind !== 'expired') return
    const { from, lost } = verdict
    log.error({ topic, partition, from: String(from), lost: String(lost) }, 'retention took events not yet applied')
  }

  return {
    async startAt(assigned) {
      const made = new Map<string, LiveProject>()
      for (const { topic, partition } of assigned) {
        const live = made.get(topic) ?? newProject(topic)
        made.set(topic, live)
        const before = held.get(topic)?.owned.get(partition)
        const { position, appendedAtMs } = before ?? { position: unknown, appendedAtMs: unknownTime }
        live.owned.set(partition, { position, appendedAtMs, moves: 0, busy: false })
      }
      await eachBounded([...made.values()], projectsAtOnce, (live) => reload(live))
      held = made
      tellHalted()
      const positions = new Map<string, bigint>()
      for (const { topic, owned } of made.values()) {
        for (const [partition, { position }] of owned) positions.set(partitionKey({ topic, partition }), position)
      }
      return positions
    },
    of(topic) {
      const live = held.get(topic)
      if (live === undefined) throw new AppError('PIPE_LIVE_STATE', `${topic} is not held any more`)
      return live
    },
    all: () => [...held.values()],
    reload,
    halt
  }
}

/** No position: the first look sets it. */
const unknown = -1n
/** No record has this time, and no state: it is compared. */
const unknownTime = -2
/** Projects whose state is read at once on an assignment. */
const projectsAtOnce = 16
const neverApplied: PartitionState = { position: 0n, appendedAtMs: -1, clockMs: -1 }

function stateOf(partitions: readonly PartitionState[], partition: number): PartitionState {
  return partitions[partition] ?? neverApplied
}

function newProject(topic: string): LiveProject {
  const project = projectOfTopic(topic)
  if (project === undefined || rawTopic(project) !== topic) throw new Error(`${topic} is not a raw topic`)
  return { project, topic, epoch: 0, halted: undefined, applied: 0, owned: new Map() }
}
