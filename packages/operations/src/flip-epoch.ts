// A build from begin to end: filled until it has all that the live epoch has, and flipped. The live epoch is sealed for
// the last step alone, so that it does not run ahead; it goes on when that takes too long.
import type { Inspection } from '@millrace/aggregation/inspection'
import { rawTopic } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'
import { AppError } from '@millrace/kernel'
import { startFill } from './fill-epoch.ts'
import type { Fill, FillDeps } from './fill-epoch.ts'
import { sweepAll } from './rebuild.ts'
import type { EpochAdmin } from './rebuild.ts'
import { settleFlip } from './settle-flip.ts'
import { moveEpoch } from './state-epochs.ts'
import type { StateEpoch } from './state-epochs.ts'

export interface BuildDeps extends EpochAdmin, Omit<FillDeps, 'epochs' | 'clock'> {
  readonly admin: EpochAdmin['admin'] & Pick<Admin, 'ranges'>
  readonly onProgress?: (progress: BuildProgress) => void
  readonly signal?: AbortSignal
  /** How often the positions are looked at; default 500 ms. */
  readonly pollMs?: number
  /** The live epoch is sealed no longer than this; default 30 s. */
  readonly sealMs?: number
  /** A build that lacks at most this many records has caught up; default 5,000. */
  readonly caughtUp?: number
}

export interface BuildProgress {
  readonly epoch: number
  readonly step: 'reading' | 'caught-up' | 'sealed' | 'flipped'
  /** Records from the start of the build to the ends of the log, and those not read yet. */
  readonly records: bigint
  readonly remaining: bigint
  readonly memory: Inspection['memory']
}

export interface Flipped {
  readonly projectId: string
  readonly epoch: number
  readonly completeFromMs: number
  /** How long live events waited. */
  readonly sealedMs: number
  /** Keys of epochs that are over. */
  readonly deletedKeys: number
}

/**
 * Fills the build until it lacks next to nothing and stops. Throws PIPE_LIVE_STATE when it cannot go on, and the reason
 * of `signal`; the build stays as it is and may be gone on with.
 */
export async function fillUntilCaughtUp(deps: BuildDeps, row: StateEpoch): Promise<BuildProgress> {
  await using fill = await startFill(deps, row.projectId, row.epoch)
  return await caughtUp(deps, row, fill)
}

/**
 * Fills the build and puts it in force; a flip that was decided before is finished. Throws PIPE_LIVE_STATE when it
 * cannot go on or does not catch up while the live epoch is sealed, and the reason of `signal`.
 */
export async function fillAndFlip(deps: BuildDeps, row: StateEpoch): Promise<Flipped> {
  const { projectId, epoch } = row
  let sealedMs = 0
  if ((await deps.epochs.look(projectId)).pointer < epoch) {
    await using fill = await startFill(deps, projectId, epoch)
    for (let attempt = 1; ; attempt++) {
      await caughtUp(deps, row, fill)
      const sealedAtMs = deps.clock.monotonic()
      const isFlipped = await sealAndFlip(deps, row, fill)
      sealedMs += deps.clock.monotonic() - sealedAtMs
      if (isFlipped) break
      if (attempt === flipAttempts)
        throw new AppError(
          'PIPE_LIVE_STATE',
          `epoch ${epoch} of ${projectId} does not catch up with the sealed one; it stays as it is`
        )
    }
  }
  await deps.faults?.at('epoch.flipped')
  await settleFlip(deps.postgres, row, deps.actor)
  await deps.faults?.at('epoch.settled')
  const deletedKeys = await sweepAll(deps.epochs, projectId)
  await report(deps, row, 'flipped')
  return { projectId, epoch, completeFromMs: row.completeFromMs, sealedMs: Math.round(sealedMs), deletedKeys }
}

const flipAttempts = 5

async function caughtUp(deps: BuildDeps, row: StateEpoch, fill: Fill): Promise<BuildProgress> {
  for (;;) {
    const progress = await report(deps, row, 'reading')
    await deps.faults?.at('epoch.reading')
    if (progress.remaining <= BigInt(deps.caughtUp ?? 5_000)) return await report(deps, row, 'caught-up')
    await pause(deps, fill)
  }
}

/** False when the build does not get there while live events wait; they go on then. */
async function sealAndFlip(deps: BuildDeps, row: StateEpoch, fill: Fill): Promise<boolean> {
  const { epochs, clock, sealMs = 30_000 } = deps
  const { projectId } = row
  const untilMs = clock.monotonic() + sealMs
  let isFlipped = false
  try {
    while (!isFlipped && clock.monotonic() < untilMs) {
      // Sealed anew each time: an owner that thinks it forgotten may have lifted it.
      const sealed = await epochs.seal(projectId)
      if (sealed.kind === 'epoch') throw new AppError('PIPE_LIVE_STATE', `${projectId} has no live state to flip from`)
      await report(deps, row, 'sealed')
      await deps.faults?.at('epoch.sealed')
      if (!(await hasPassed(deps, row, sealed.positions))) await pause(deps, fill, sealPollMs)
      else {
        await decide(deps, row)
        isFlipped = await flipNow(deps, row)
      }
    }
  } finally {
    // Also after an error: live events must not wait for somebody to look. After a flip there is nothing to lift, unless
    // an owner did it first and the seal met the new epoch.
    await epochs.unseal(projectId)
  }
  return isFlipped
}

const sealPollMs = 50

async function hasPassed(deps: BuildDeps, row: StateEpoch, positions: readonly bigint[]): Promise<boolean> {
  const built = (await deps.epochs.look(row.projectId)).epochs.get(row.epoch)
  return positions.every((position, partition) => (built?.partitions[partition]?.position ?? 0n) >= position)
}

/** An owner that saw an earlier decision may have flipped already; then `flipNow` says so. */
async function decide({ postgres, epochs }: BuildDeps, row: StateEpoch): Promise<void> {
  const isDecided = await moveEpoch(postgres, row, ['building', 'flipping'], 'flipping')
  if (!isDecided && (await epochs.look(row.projectId)).pointer < row.epoch)
    throw new AppError('PIPE_CONFLICT', `epoch ${row.epoch} of '${row.projectId}' was given up`)
}

/** An owner that saw the decision may have done it before. */
async function flipNow({ epochs, faults }: BuildDeps, { projectId, epoch }: StateEpoch): Promise<boolean> {
  await faults?.at('epoch.decided')
  const reply = await epochs.flip(projectId, epoch)
  if (reply.kind === 'ok') return true
  if (reply.kind === 'behind' || reply.kind === 'not-sealed') return false
  if ((await epochs.look(projectId)).pointer >= epoch) return true
  throw new AppError('PIPE_LIVE_STATE', `the flip of ${projectId} to epoch ${epoch} was refused: ${reply.kind}`)
}

async function report(deps: BuildDeps, row: StateEpoch, step: BuildProgress['step']): Promise<BuildProgress> {
  const { admin, epochs, onProgress } = deps
  const { projectId, epoch, startOffsets } = row
  const [ranges, seen] = await Promise.all([admin.ranges(rawTopic(projectId)), epochs.look(projectId)])
  const partitions = seen.epochs.get(epoch)?.partitions ?? []
  let [records, remaining] = [0n, 0n]
  for (const { partition, end } of ranges) {
    records += rest(end, startOffsets[partition] ?? 0n)
    remaining += rest(end, partitions[partition]?.position ?? 0n)
  }
  const progress = { epoch, step, records, remaining, memory: seen.memory }
  onProgress?.(progress)
  return progress
}

async function pause(deps: BuildDeps, fill: Fill, ms = deps.pollMs ?? 500): Promise<void> {
  await Promise.race([deps.clock.sleep(ms, deps.signal), fill.failed])
}

function rest(end: bigint, position: bigint): bigint {
  return end > position ? end - position : 0n
}
