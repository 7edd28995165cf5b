// What the workers of a group hear of its replay and of going on after a stop, and the end of a replay: when every partition
// came to where it has to.
import { noOrders } from '@millrace/consumer'
import type { GroupDesk, GroupOrders } from '@millrace/consumer'
import type { Admin } from '@millrace/kafka'
import { AppError, toError } from '@millrace/kernel'
import type { Postgres } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'
import { resumesOf } from './group-resumes.ts'
import { findReplay, isOver, moveReplay, openReplay, positionsGroup } from './replay-rows.ts'
import type { Replay, ReplayPart } from './replay-rows.ts'

export interface DeskDeps {
  readonly postgres: Pick<Postgres, 'query' | 'transaction'>
  readonly admin: ProgressAdmin
  /** The live consumer group of the worker. */
  readonly group: string
  /** Whether the worker reads this topic. */
  readonly belongs: (topic: string) => boolean
  /** The service, for the audit log. */
  readonly actor: string
}

type ProgressAdmin = Pick<Admin, 'groupOffsets' | 'ranges'>

/** The desk of `group` in PostgreSQL. Its calls throw PIPE_POSTGRES_UNAVAILABLE, PIPE_KAFKA_UNAVAILABLE. */
export function createReplayDesk(deps: DeskDeps): GroupDesk {
  const { postgres, admin, group, belongs, actor } = deps
  return {
    async orders() {
      const replay = await openReplay(postgres, group)
      if (replay === undefined) return noOrders
      if (replay.state !== 'running')
        return { heldForMs: replay.mode === 'in-place' ? replay.heldForMs : 0, replay: undefined }
      // An in-place replay is over with one look more or less: nobody waits for it.
      if (!belongs(replay.topic)) return noOrders
      const progress = await progressOf(admin, replay)
      if (progress.remaining === 0n) {
        await endReplay(postgres, replay, actor)
        return noOrders
      }
      return replay.mode === 'in-place' ? noOrders : { heldForMs: 0, replay: toOrder(replay) }
    },
    resumedAgoMs: resumesOf({ postgres, group }),
    async failed(id, error) {
      await postgres.transaction(async (tx) => {
        const failed = await moveReplay(tx, id, ['running'], 'failed', toError(error).message.slice(0, 1_000))
        if (failed !== undefined) await auditEnd(tx, failed, actor, 'replay.failed')
      })
    }
  }
}

function toOrder(replay: Replay): NonNullable<GroupOrders['replay']> {
  const { id, topic, parts, perSecond } = replay
  const ends = new Map(parts.map(({ partition, to }) => [partition, to]))
  return { id, group: positionsGroup(replay), topic, ends, perSecond }
}

interface PartProgress extends ReplayPart {
  /** Where it stands. */
  readonly at: bigint
}

export interface ReplayProgress {
  readonly parts: readonly PartProgress[]
  readonly records: bigint
  readonly remaining: bigint
  /** Records of the topic that the live group has not come to: a replay beside it gives way to them. */
  readonly liveBehind: bigint
}

/** How far the positions of a replay have come. What the log forgot meanwhile counts as passed. */
async function progressOf(admin: ProgressAdmin, replay: Replay): Promise<ReplayProgress> {
  const { topic } = replay
  const [committed, live, ranges] = await Promise.all([
    admin.groupOffsets(positionsGroup(replay), topic),
    replay.mode === 'beside' ? admin.groupOffsets(replay.group, topic) : undefined,
    admin.ranges(topic)
  ])
  const starts = new Map(ranges.map(({ partition, start }) => [partition, start]))
  const parts = replay.parts.map((part): PartProgress => {
    const at = committed.get(part.partition) ?? part.from
    const start = starts.get(part.partition) ?? 0n
    return { ...part, at: start > at ? start : at }
  })
  const rest = (from: bigint, to: bigint): bigint => (to > from ? to - from : 0n)
  return {
    parts,
    records: parts.reduce((sum, { from, to }) => sum + rest(from, to), 0n),
    remaining: parts.reduce((sum, { at, to }) => sum + rest(at, to), 0n),
    liveBehind:
      live === undefined
        ? 0n
        : ranges.reduce((sum, { partition, start, end }) => sum + rest(live.get(partition) ?? start, end), 0n)
  }
}

/** A replay as it is told. */
export interface ReplayStatus extends Omit<Replay, 'saved'> {
  /** Positions of the live group before it was moved, by partition. */
  readonly saved: Readonly<Record<string, bigint>>
  /** Undefined when it is over, or its topic is gone or does not answer. */
  readonly progress: ReplayProgress | undefined
}

/**
 * How far a replay is, where its topic can be asked. One that came to its end is ended here, too: its workers may be away.
 */
export async function replayStatus(
  { admin, postgres, actor }: Pick<DeskDeps, 'admin' | 'postgres' | 'actor'>,
  replay: Replay
): Promise<ReplayStatus> {
  if (isOver(replay)) return toStatus(replay, undefined)
  const progress = await progressOf(admin, replay).catch((error: unknown) => {
    if (error instanceof AppError) return undefined
    throw error
  })
  if (progress === undefined || replay.state !== 'running' || progress.remaining > 0n) return toStatus(replay, progress)
  await endReplay(postgres, replay, actor)
  return toStatus(await findReplay(postgres, replay.id), progress)
}

function toStatus(replay: Replay, progress: ReplayProgress | undefined): ReplayStatus {
  return { ...replay, saved: Object.fromEntries(replay.saved), progress }
}

/** Writes down that a replay came to its end; harmless when somebody else did. */
async function endReplay(
  postgres: Pick<Postgres, 'transaction'>,
  { id }: Pick<Replay, 'id'>,
  actor: string
): Promise<void> {
  await postgres.transaction(async (tx) => {
    const ended = await moveReplay(tx, id, ['running'], 'done')
    if (ended !== undefined) await auditEnd(tx, ended, actor, 'replay.done')
  })
}

async function auditEnd(
  tx: Parameters<typeof writeAudit>[0],
  { id, projectId, group, problem }: Replay,
  actor: string,
  action: 'replay.done' | 'replay.failed'
): Promise<void> {
  const details = problem === undefined ? {} : { problem }
  await writeAudit(tx, { actor, action, projectId, subject: `replay ${id} of ${group}`, details })
}
