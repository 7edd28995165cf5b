// Epochs of the live state as rows: which builds of a project there were, where each began, and what became of it. Redis
// holds the state itself and may lose it; the rows tell that there was one.
import type { EpochRow } from '@millrace/aggregation/epochs'
import { AppError } from '@millrace/kernel'
import type { Queryable, Row } from '@millrace/stores/postgres'

/** Why an epoch was begun. */
export type EpochReason = 'first' | 'lost' | 'torn' | 'rebuild' | 'recreated'

export interface StateEpoch extends EpochRow {
  readonly projectId: string
  readonly epoch: number
  readonly reason: EpochReason
  readonly createdAt: Date
  readonly createdBy: string
  readonly changedAt: Date
  /** Since it was created, by the clock of the database. */
  readonly ageMs: number
}

/** A row to be written. */
export interface NewEpoch extends EpochRow {
  readonly projectId: string
  readonly reason: EpochReason
  readonly actor: string
  /** Default: the highest number of the project and one. */
  readonly epoch?: number
}

interface EpochColumns extends Row {
  readonly project_id: string
  readonly epoch: number
  readonly start_offsets: readonly string[]
  readonly complete_from: Date
  readonly reason: EpochReason
  readonly state: EpochRow['state']
  readonly created_at: Date
  readonly created_by: string
  readonly changed_at: Date
  readonly age_ms: number
}

const columns = `project_id, epoch, start_offsets::text[] AS start_offsets, complete_from, reason, state, created_at, created_by,
  changed_at, (extract(epoch FROM clock_timestamp() - created_at) * 1000)::float8 AS age_ms`

/** The epochs of a project by number. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function listEpochs(postgres: Queryable, projectId: string): Promise<readonly StateEpoch[]> {
  const rows = await postgres.query<EpochColumns>(
    `SELECT ${columns} FROM state_epochs WHERE project_id = $1 ORDER BY epoch`,
    [projectId]
  )
  return rows.map(toEpoch)
}

/**
 * Adds an epoch under the next number. Throws PIPE_CONFLICT when another process took that number, or builds an epoch of
 * the project already: read the rows again.
 */
export async function insertEpoch(postgres: Queryable, made: NewEpoch): Promise<StateEpoch> {
  const { projectId, startOffsets, completeFromMs, reason, state, actor, epoch } = made
  const [row] = await postgres.query<EpochColumns>(
    `INSERT INTO state_epochs (project_id, epoch, start_offsets, complete_from, reason, state, created_by)
     SELECT $1, coalesce($2::integer, max(epoch) + 1, 1), $3::bigint[], to_timestamp($4::float8 / 1000), $5, $6, $7
     FROM state_epochs WHERE project_id = $1 RETURNING ${columns}`,
    [projectId, epoch ?? null, startOffsets.map(String), completeFromMs, reason, state, actor]
  )
  if (row === undefined) throw new AppError('PIPE_CONFLICT', `no epoch of ${projectId} was written`)
  return toEpoch(row)
}

/** Moves a row from one of the states `from` to `to`; false when it is in none of them. */
export async function moveEpoch(
  postgres: Queryable,
  { projectId, epoch }: { readonly projectId: string; readonly epoch: number },
  from: readonly EpochRow['state'][],
  to: EpochRow['state']
): Promise<boolean> {
  const rows = await postgres.query(
    `UPDATE state_epochs SET state = $4, changed_at = now()
     WHERE project_id = $1 AND epoch = $2 AND state = ANY($3::text[]) RETURNING epoch`,
    [projectId, epoch, from, to]
  )
  return rows.length > 0
}

function toEpoch(row: EpochColumns): StateEpoch {
  return {
    projectId: row.project_id,
    epoch: row.epoch,
    startOffsets: row.start_offsets.map(BigInt),
    completeFromMs: row.complete_from.getTime(),
    reason: row.reason,
    state: row.state,
    createdAt: row.created_at,
    createdBy: row.created_by,
    changedAt: row.changed_at,
    ageMs: row.age_ms
  }
}
