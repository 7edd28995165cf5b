// What a flip leaves to be done in PostgreSQL: whoever finds it undone does it, the builder or an owner after him.
import type { Postgres, Queryable } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'
import { queueLiveDays, queueRecount } from './daily-metrics.ts'
import { moveEpoch } from './state-epochs.ts'
import type { StateEpoch } from './state-epochs.ts'

const dayMs = 86_400_000

/**
 * Makes the row of an epoch that was flipped to `live`, once, and queues the days that it does not hold whole: an epoch
 * that was not trusted made them. Throws PIPE_POSTGRES_UNAVAILABLE.
 */
export async function settleFlip(
  postgres: Pick<Postgres, 'transaction'>,
  row: StateEpoch,
  actor: string
): Promise<void> {
  await postgres.transaction(async (tx) => {
    if (await moveEpoch(tx, row, ['building', 'flipping'], 'live')) await queueDays(tx, row, actor)
  })
}

async function queueDays(
  tx: Queryable,
  { projectId, epoch, completeFromMs }: StateEpoch,
  actor: string
): Promise<void> {
  await queueLiveDays(tx, projectId, completeFromMs)
  const intoDayMs = completeFromMs % dayMs
  if (intoDayMs > 0) await queueRecount(tx, projectId, [completeFromMs - intoDayMs], 'rebuild')
  const details = { completeFromMs }
  await writeAudit(tx, { actor, action: 'epoch.flip', projectId, subject: String(epoch), details })
}
