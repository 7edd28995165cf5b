// Builds an epoch of the live state from the log beside the one in force, and puts it in force. The order keeps every
// number right whatever ends in between: the row first, then the keys; sealed, caught up, decided in the row, flipped.
import type { Inspection } from '@millrace/aggregation/inspection'
import type { RedisEpochs } from '@millrace/aggregation/redis-epochs'
import type { Timing } from '@millrace/aggregation/timing'
import { rawTopic } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Postgres } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'
import { oldestLiveMs, startOfRebuild } from './epoch-start.ts'
import type { RebuildStart, StartAdmin } from './epoch-start.ts'
import { insertEpoch, listEpochs, moveEpoch } from './state-epochs.ts'
import type { StateEpoch } from './state-epochs.ts'

export interface EpochAdmin {
  readonly postgres: Postgres
  readonly epochs: RedisEpochs
  readonly admin: StartAdmin
  readonly clock: Clock
  readonly timing: Timing
  /** Who acts, for the rows and the audit log. */
  readonly actor: string
  /** Named points between the steps, for tests. */
  readonly faults?: { at(label: string): void | Promise<void> }
}

export interface RebuildRequest {
  readonly projectId: string
  /** Windows are whole from this full hour on; default: everything that is held live. */
  readonly fromMs?: number
  /** Build also when the log reaches back less far than that. */
  readonly acceptLater?: boolean
}

export interface RebuildPlan {
  readonly projectId: string
  readonly liveEpoch: number
  readonly start: RebuildStart
  /** Redis: what is used, and the most it may use (0 = without limit). */
  readonly memory: Inspection['memory']
  /** The live state stands beyond the end of the log, which is another one: replace-epoch.ts instead of a build. */
  readonly isOtherLog: boolean
  /** Why it may not begin; empty = it may. */
  readonly refusals: readonly string[]
}

const hourMs = 3_600_000

/**
 * What a rebuild would read and from when on its windows would be whole. Throws PIPE_INVALID_INPUT for a `fromMs` that
 * is no full hour, PIPE_TOPIC_MISSING, and what Redis, Kafka and PostgreSQL throw.
 */
export async function planRebuild(deps: EpochAdmin, request: RebuildRequest): Promise<RebuildPlan> {
  const { postgres, epochs, admin, clock, timing } = deps
  const { projectId, acceptLater = false } = request
  const nowMs = clock.now()
  const wantedFromMs = request.fromMs ?? oldestLiveMs(nowMs)
  if (wantedFromMs % hourMs !== 0 || wantedFromMs > nowMs)
    throw new AppError(
      'PIPE_INVALID_INPUT',
      `a rebuild begins at a full hour (UTC) of the past, not ${iso(wantedFromMs)}`
    )
  const start = await startOfRebuild(admin, { topic: rawTopic(projectId), wantedFromMs, nowMs, timing })
  const seen = await epochs.look(projectId)
  const ends = new Map((await admin.ranges(rawTopic(projectId))).map(({ partition, end }) => [partition, end]))
  const positions = seen.epochs.get(seen.pointer)?.partitions ?? []
  const isOtherLog = positions.some(({ position }, partition) => position > (ends.get(partition) ?? 0n))
  const { usedBytes, maxBytes } = seen.memory
  const refusals: string[] = []
  if (seen.epochs.get(seen.pointer) === undefined)
    refusals.push('there is no live state to build beside; the aggregator makes one')
  const open = (await listEpochs(postgres, projectId)).find((row) => isUnderWay(row, seen))
  if (open !== undefined)
    refusals.push(`epoch ${open.epoch} is under way; \`epoch flip\` goes on with it, \`epoch abort\` gives it up`)
  if (maxBytes > 0 && usedBytes * 2 > maxBytes)
    refusals.push(`Redis uses ${usedBytes} of ${maxBytes} bytes; a second state needs half of them free`)
  if (start.completeFromMs > wantedFromMs && !acceptLater)
    refusals.push(
      `the log does not reach back to ${iso(wantedFromMs)}; windows would be whole from ${iso(start.completeFromMs)} on, ` +
        `older ones are answered from the warehouse (--accept-later builds it)`
    )
  return { projectId, liveEpoch: seen.pointer, start, memory: seen.memory, isOtherLog, refusals }
}

/**
 * Writes the row of a planned build and makes its keys; `why` is for the audit log. Throws PIPE_CONFLICT when the plan is
 * refused, or another build began meanwhile.
 */
export async function beginBuild(deps: EpochAdmin, plan: RebuildPlan, why?: string): Promise<StateEpoch> {
  const { postgres, actor } = deps
  const { projectId, start } = plan
  refuse(plan)
  const { startOffsets, completeFromMs } = start
  const row = await postgres.transaction(async (tx) => {
    const made = { projectId, startOffsets, completeFromMs, reason: 'rebuild', state: 'building', actor } as const
    const inserted = await insertEpoch(tx, made)
    const details = { reason: 'rebuild', why, completeFromMs, startOffsets: startOffsets.map(String) }
    await writeAudit(tx, { actor, action: 'epoch.new', projectId, subject: String(inserted.epoch), details })
    return inserted
  })
  await deps.faults?.at('epoch.row-written')
  await makeKeys(deps, row)
  return row
}

/** Throws PIPE_CONFLICT with all that stands against a plan. */
export function refuse({ projectId, refusals }: Pick<RebuildPlan, 'projectId' | 'refusals'>): void {
  if (refusals.length > 0) throw new AppError('PIPE_CONFLICT', `${projectId}: ${refusals.join('; ')}`)
}

/** The build of a project that is under way; its keys are made again when they are gone. Throws PIPE_NOT_FOUND. */
export async function openBuild(deps: EpochAdmin, projectId: string): Promise<StateEpoch> {
  const seen = await deps.epochs.look(projectId)
  const row = (await listEpochs(deps.postgres, projectId)).findLast((each) => isUnderWay(each, seen))
  if (row === undefined)
    throw new AppError('PIPE_NOT_FOUND', `no epoch of '${projectId}' is being built; \`epoch new\` begins one`)
  if (row.epoch > seen.pointer) await makeKeys(deps, row)
  return row
}

/** Gives up the build of a project and deletes its keys. Throws PIPE_NOT_FOUND, PIPE_CONFLICT after the decision. */
export async function abortBuild(deps: EpochAdmin, projectId: string): Promise<StateEpoch> {
  const { postgres, epochs, actor } = deps
  const rows = await listEpochs(postgres, projectId)
  const { pointer, epochs: held } = await epochs.look(projectId)
  // A row that was given up while its keys were not counts too.
  const row = rows.findLast(
    ({ state, epoch }) =>
      state === 'building' || (state === 'aborted' && epoch > pointer && held.get(epoch)?.stage === 'building')
  )
  if (row === undefined) {
    const decided = rows.find(({ state, epoch }) => state === 'flipping' && epoch > pointer)
    if (decided !== undefined)
      throw new AppError('PIPE_CONFLICT', `the flip to epoch ${decided.epoch} is decided; \`epoch flip\` finishes it`)
    throw new AppError('PIPE_NOT_FOUND', `no epoch of '${projectId}' is being built`)
  }
  await postgres.transaction(async (tx) => {
    const isMoved = await moveEpoch(tx, row, ['building'], 'aborted')
    if (!isMoved && row.state === 'building')
      throw new AppError('PIPE_CONFLICT', `epoch ${row.epoch} of '${projectId}' is not being built any more`)
    if (isMoved) await writeAudit(tx, { actor, action: 'epoch.abort', projectId, subject: String(row.epoch) })
  })
  await deps.faults?.at('epoch.given-up')
  await epochs.abort(projectId, row.epoch)
  await sweepAll(epochs, projectId)
  return { ...row, state: 'aborted' }
}

/** Deletes the keys of epochs that are over, page by page. */
export async function sweepAll(epochs: Pick<RedisEpochs, 'sweep'>, projectId: string): Promise<number> {
  let deleted = 0
  for (let remaining = true; remaining;) {
    const reply = await epochs.sweep(projectId)
    deleted += reply.deletedKeys
    remaining = reply.remaining
  }
  return deleted
}

/** A build, or a flip that is decided and not done. One to a torn epoch is passed over: it can not come true. */
function isUnderWay({ state, epoch }: StateEpoch, { pointer, epochs }: Inspection): boolean {
  if (state === 'building') return true
  return state === 'flipping' && epoch > pointer && epochs.get(epoch)?.torn === undefined
}

async function makeKeys({ epochs }: EpochAdmin, { projectId, epoch, startOffsets, completeFromMs }: StateEpoch) {
  const reply = await epochs.beginRebuild(projectId, epoch, { startOffsets, completeFromMs })
  if (reply.kind === 'lost-race')
    throw new AppError('PIPE_CONFLICT', `epoch ${epoch} of '${projectId}' was given up or passed over`)
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString()
}
