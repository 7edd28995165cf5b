// The epoch in force of a project, looked at by every owner on assignment and every few seconds. Rows say what was
// decided, Redis what is there; where they differ the keeper mends it: a first epoch, a new one for a state that is lost,
// a decided flip that was not finished, a seal that nobody followed up, keys that nobody deleted. So whoever builds an
// epoch may end at any point.
import { checkEpoch } from '@millrace/aggregation/epochs'
import type { Inspection } from '@millrace/aggregation/inspection'
import type { EpochStart, RedisEpochs } from '@millrace/aggregation/redis-epochs'
import type { PartitionState } from '@millrace/aggregation/state'
import type { Timing } from '@millrace/aggregation/timing'
import { rawTopic } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import type { Postgres } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'
import { queueRecount } from './daily-metrics.ts'
import { startOfLost } from './epoch-start.ts'
import type { StartAdmin } from './epoch-start.ts'
import { settleFlip } from './settle-flip.ts'
import { insertEpoch, listEpochs } from './state-epochs.ts'
import type { EpochReason, StateEpoch } from './state-epochs.ts'

/** What may be written of a project now. */
export interface EpochInForce {
  readonly epoch: number
  readonly completeFromMs: number
  readonly partitions: readonly PartitionState[]
  /** The call that began to write and did not end; then the epoch takes nothing. */
  readonly torn: string | undefined
}

export interface EpochKeeperDeps {
  readonly postgres: Postgres
  readonly epochs: Pick<RedisEpochs, 'look' | 'init' | 'seal' | 'unseal' | 'flip' | 'abort' | 'sweep'>
  readonly admin: StartAdmin
  readonly clock: Clock
  readonly timing: Timing
  /** The consumer group whose commits tell how far the lost state had come. */
  readonly group: string
  /** For the rows and the audit log. */
  readonly actor: string
  readonly log: Pick<Logger, 'warn'>
}

/** A seal that no decided flip follows is lifted after this time. */
const longestSealMs = 30_000
/** A row that somebody has just written and not yet made true is taken up again instead of writing another one. */
const freshRowMs = 60_000
const dayMs = 86_400_000
/** Pages of keys deleted at a look; who gave an epoch up deletes them himself, unless he ended before. */
const pagesAtOnce = 10

/**
 * The epoch in force of a project, made when there is none. Throws PIPE_LIVE_STATE while another process makes the
 * epoch or Redis lost a flip, PIPE_REDIS_UNAVAILABLE, PIPE_KAFKA_UNAVAILABLE, and PIPE_POSTGRES_UNAVAILABLE only
 * when there is no live epoch: an outage of the database must not stop one that runs.
 */
export function createEpochKeeper(deps: EpochKeeperDeps): (project: string) => Promise<EpochInForce> {
  const sealedSince = new Map<string, number>()
  const told = new Set<string>()
  /** One line for an outage, not one for each look. */
  let isAway = false
  const tellBehind = (project: string, epoch: number): void => {
    const key = `${project}:${epoch}`
    if (!told.has(key))
      deps.log.warn({ project, epoch }, 'a decided flip waits for its build: `npx millrace epoch flip` goes on with it')
    told.add(key)
  }
  return async function inForce(project) {
    const seen = await deps.epochs.look(project)
    const rows = await readRows(deps, project, seen)
    if (rows instanceof AppError && !isAway)
      deps.log.warn({ err: rows }, 'rows of epochs cannot be read; live epochs go on')
    isAway = rows instanceof AppError
    if (rows instanceof AppError) return toInForce(project, seen)
    const checked = checkEpoch(seen, new Map(rows.map((row) => [row.epoch, row])))
    switch (checked.kind) {
      case 'run':
        await liftOldSeal(deps, project, seen, sealedSince)
        await agreeRow(deps, project, seen, rows)
        await sweepLeft(deps, project, seen, rows)
        return toInForce(project, seen)
      case 'broken':
        return toInForce(project, seen)
      case 'finish-flip': {
        const row = rows.find(({ epoch }) => epoch === checked.epoch)
        if (await finishFlip(deps, seen, row)) return toInForce(project, await deps.epochs.look(project))
        // The epoch before it goes on, as it did until the decision.
        tellBehind(project, checked.epoch)
        await liftOldSeal(deps, project, seen, sealedSince)
        return toInForce(project, seen)
      }
      case 'lost':
        await begin(deps, project, seen, rows)
        return toInForce(project, await deps.epochs.look(project))
    }
  }
}

/** An error: they cannot be read, and a live epoch is there to go on with. */
async function readRows(
  { postgres }: EpochKeeperDeps,
  project: string,
  seen: Inspection
): Promise<readonly StateEpoch[] | AppError> {
  try {
    return await listEpochs(postgres, project)
  } catch (error) {
    const isThere = seen.epochs.get(seen.pointer) !== undefined
    if (!(error instanceof AppError) || error.code !== 'PIPE_POSTGRES_UNAVAILABLE' || !isThere) throw error
    return error
  }
}

function toInForce(project: string, { pointer, epochs }: Inspection): EpochInForce {
  const live = epochs.get(pointer)
  if (live === undefined) throw new AppError('PIPE_LIVE_STATE', `${project} has no live state yet`)
  const { completeFromMs, partitions, torn } = live
  return { epoch: pointer, completeFromMs, partitions, torn }
}

async function liftOldSeal(
  { epochs, clock, log }: EpochKeeperDeps,
  project: string,
  { pointer, epochs: held }: Inspection,
  sealedSince: Map<string, number>
): Promise<void> {
  const key = `${project}:${pointer}`
  if (held.get(pointer)?.stage !== 'sealing') {
    sealedSince.delete(key)
    return
  }
  const since = sealedSince.get(key) ?? clock.now()
  sealedSince.set(key, since)
  if (clock.now() - since < longestSealMs) return
  sealedSince.delete(key)
  log.warn({ project, epoch: pointer }, 'a seal that no flip followed is lifted')
  await epochs.unseal(project)
}

/** The row of the pointer: written for a state that is older than the rows, `live` once its flip came true. */
async function agreeRow(
  { postgres, actor }: EpochKeeperDeps,
  project: string,
  { pointer, epochs }: Inspection,
  rows: readonly StateEpoch[]
): Promise<void> {
  const row = rows.find(({ epoch }) => epoch === pointer)
  const live = epochs.get(pointer)
  if (row?.state === 'live' || live === undefined) return
  if (row !== undefined) return await settleFlip(postgres, row, actor)
  const made = { projectId: project, epoch: pointer, state: 'live', reason: 'first', actor } as const
  await insertEpoch(postgres, { ...made, startOffsets: [], completeFromMs: live.completeFromMs }).catch(ignoreConflict)
}

/**
 * False: the build has not passed the epoch in force, so that nobody need wait for it. Throws PIPE_LIVE_STATE, and keeps
 * the state sealed, when Redis went back to before a flip and the build is behind: it was in force, values were told under
 * its number, and nobody fills it any more.
 */
async function finishFlip(
  { epochs, postgres, actor }: EpochKeeperDeps,
  { pointer, epochs: held }: Inspection,
  row: StateEpoch | undefined
): Promise<boolean> {
  const live = held.get(pointer)?.partitions ?? []
  const built = row === undefined ? undefined : held.get(row.epoch)?.partitions
  const isBehind = live.some(({ position }, partition) => (built?.[partition]?.position ?? 0n) < position)
  if (row === undefined || (isBehind && row.state === 'flipping')) return false
  const { projectId, epoch } = row
  const sealed = await epochs.seal(projectId)
  const reply = sealed.kind === 'ok' ? await epochs.flip(projectId, epoch) : sealed
  if (reply.kind === 'ok') await settleFlip(postgres, row, actor)
  else if (row.state !== 'flipping' && reply.kind !== 'epoch')
    throw new AppError(
      'PIPE_LIVE_STATE',
      `Redis went back to before the flip of ${projectId} to epoch ${epoch} (${reply.kind}); ` +
        `run \`npx millrace epoch new --project ${projectId} --flip\``
    )
  // Something came in between the look and the seal.
  else if (reply.kind === 'behind') await epochs.unseal(projectId)
  return reply.kind === 'ok' || reply.kind === 'epoch'
}

/** Deletes a part of what nobody reads any more: epochs before the one in force, and builds that were given up. */
async function sweepLeft(
  { epochs }: EpochKeeperDeps,
  project: string,
  { epochs: held }: Inspection,
  rows: readonly StateEpoch[]
): Promise<void> {
  const aborted = rows.filter(({ state, epoch }) => state === 'aborted' && held.get(epoch)?.stage === 'building')
  for (const { epoch } of aborted) await epochs.abort(project, epoch)
  if (aborted.length === 0 && ![...held.values()].some(({ stage }) => stage === 'over')) return
  for (let page = 0, remaining = true; remaining && page < pagesAtOnce; page++)
    remaining = (await epochs.sweep(project)).remaining
}

/** Epoch 1, or a new one for a state that is lost. Many owners find it at once; one writes the row, all take it up. */
async function begin(
  deps: EpochKeeperDeps,
  project: string,
  seen: Inspection,
  rows: readonly StateEpoch[]
): Promise<void> {
  const { epochs, log } = deps
  const row = freshRow(rows, seen) ?? (await writeRow(deps, project, rows)) ?? (await rowOfOther(deps, project, seen))
  const { epoch, startOffsets, completeFromMs, reason } = row
  if (reason !== 'first') log.warn({ project, epoch, completeFromMs }, 'live state lost; a new epoch begins')
  await epochs.init(project, epoch, { startOffsets, completeFromMs })
}

function freshRow(rows: readonly StateEpoch[], { pointer, epochs }: Inspection): StateEpoch | undefined {
  const last = rows.at(-1)
  const isUnused = last !== undefined && last.epoch > pointer && !epochs.has(last.epoch)
  return isUnused && last.state === 'live' && last.ageMs < freshRowMs ? last : undefined
}

async function rowOfOther({ postgres }: EpochKeeperDeps, project: string, seen: Inspection): Promise<StateEpoch> {
  const row = freshRow(await listEpochs(postgres, project), seen)
  if (row === undefined) throw new AppError('PIPE_LIVE_STATE', `another process begins an epoch of ${project}`)
  return row
}

/** Undefined: another process wrote one meanwhile. */
async function writeRow(
  { postgres, admin, clock, timing, group, actor }: EpochKeeperDeps,
  project: string,
  rows: readonly StateEpoch[]
): Promise<StateEpoch | undefined> {
  const topic = rawTopic(project)
  const reason: EpochReason = rows.length === 0 ? 'first' : 'lost'
  const start: EpochStart =
    reason === 'first'
      ? { startOffsets: (await admin.ranges(topic)).map(() => 0n), completeFromMs: 0 }
      : await startOfLost(admin, { topic, group, nowMs: clock.now(), timing })
  const epoch = (rows.at(-1)?.epoch ?? 0) + 1
  try {
    return await postgres.transaction(async (tx) => {
      // The number was counted from the rows that were looked at: who wrote one meanwhile wins.
      const row = await insertEpoch(tx, { projectId: project, epoch, state: 'live', reason, actor, ...start })
      const { completeFromMs, startOffsets } = row
      if (reason === 'lost') await queueRecount(tx, project, daysAround(completeFromMs), 'lost')
      const details = { reason, completeFromMs, startOffsets: startOffsets.map(String) }
      await writeAudit(tx, { actor, action: 'epoch.new', projectId: project, subject: String(epoch), details })
      return row
    })
  } catch (error) {
    ignoreConflict(error)
    return undefined
  }
}

/** The day that is not whole and the one before, whose last hours may not have been emitted. */
function daysAround(completeFromMs: number): readonly number[] {
  const day = completeFromMs - (completeFromMs % dayMs)
  return [day - dayMs, day]
}

function ignoreConflict(error: unknown): void {
  if (!(error instanceof AppError) || error.code !== 'PIPE_CONFLICT') throw error
}
