// The epochs of a project: what the rows say of each, and what Redis holds.
import type { EpochInspection } from '@millrace/aggregation/inspection'
import type { RedisEpochs } from '@millrace/aggregation/redis-epochs'
import { rawTopic } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'
import { AppError } from '@millrace/kernel'
import type { Queryable } from '@millrace/stores/postgres'
import { listEpochs } from './state-epochs.ts'

/** An epoch as it is told. */
export interface ShownEpoch {
  readonly epoch: number
  readonly inForce: boolean
  /** Of the row; undefined: it has none yet. */
  readonly state: string | undefined
  readonly reason: string | undefined
  /** In Redis; undefined: it has no keys. */
  readonly stage: EpochInspection['stage'] | undefined
  readonly torn: boolean
  readonly completeFrom: string
  /** Records of the log that are not applied; undefined without keys. */
  readonly lag: bigint | undefined
  readonly sizes: EpochInspection['sizes'] | undefined
  readonly counts: EpochInspection['counts'] | undefined
}

export interface EpochStatusDeps {
  readonly postgres: Queryable
  readonly epochs: Pick<RedisEpochs, 'inspect'>
  readonly admin: Pick<Admin, 'ranges'>
}

/** The epochs of a project by number. Throws PIPE_NOT_FOUND when there is none, and what the stores throw. */
export async function epochStatus(
  { postgres, epochs, admin }: EpochStatusDeps,
  projectId: string
): Promise<readonly ShownEpoch[]> {
  const rows = await listEpochs(postgres, projectId)
  const seen = await epochs.inspect(projectId)
  if (rows.length === 0 && seen.epochs.size === 0)
    throw new AppError('PIPE_NOT_FOUND', `'${projectId}' has no epoch; the aggregator makes the first one`)
  const ranges = await admin.ranges(rawTopic(projectId))
  const numbers = [...new Set([...rows.map(({ epoch }) => epoch), ...seen.epochs.keys()])].toSorted((a, b) => a - b)
  return numbers.map((epoch): ShownEpoch => {
    const row = rows.find((each) => each.epoch === epoch)
    const held = seen.epochs.get(epoch)
    const lag = ranges.reduce((sum, { partition, end }) => {
      const position = held?.partitions[partition]?.position ?? 0n
      return end > position ? sum + end - position : sum
    }, 0n)
    return {
      epoch,
      inForce: epoch === seen.pointer && held !== undefined,
      state: row?.state,
      reason: row?.reason,
      stage: held?.stage,
      torn: held?.torn !== undefined,
      completeFrom: new Date(row?.completeFromMs ?? held?.completeFromMs ?? 0).toISOString(),
      lag: held === undefined ? undefined : lag,
      sizes: held?.sizes,
      counts: held?.counts
    }
  })
}
