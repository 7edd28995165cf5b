// Replays as rows. The row of a replay that is not over is the lock of its group: there is at most one, and the workers of
// the group read it. A hold on it ends by itself, so whoever began it may die.
import { AppError } from '@millrace/kernel'
import type { Queryable, Row } from '@millrace/stores/postgres'

/**
 * `beside`: read under a group of its own while the live group goes on. `in-place`: the live group is moved back and comes
 * forward again, so that live events wait behind the old ones.
 */
export type ReplayMode = 'beside' | 'in-place'

/**
 * `preparing`: positions are being set. `running`: workers read. `aborting`: positions of an in-place replay are being put
 * back. The others are its ends.
 */
export type ReplayState = 'preparing' | 'running' | 'aborting' | 'done' | 'aborted' | 'failed'

/** Offsets `from` (included) to `to` (excluded) of one partition. */
export interface ReplayPart {
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
}

export interface NewReplay {
  readonly projectId: string
  /** The live consumer group. */
  readonly group: string
  readonly topic: string
  readonly mode: ReplayMode
  readonly effect: string
  /** What was asked for, for people. */
  readonly source: string
  readonly parts: readonly ReplayPart[]
  readonly records: bigint
  readonly perSecond: number | undefined
  readonly reason: string
  readonly actor: string
}

export interface Replay extends NewReplay {
  readonly id: string
  readonly state: ReplayState
  /** Positions of the live group before it was moved; in place only. */
  readonly saved: ReadonlyMap<number, bigint>
  /** Who sets positions now; undefined: nobody. */
  readonly holder: string | undefined
  readonly heldForMs: number
  readonly problem: string | undefined
  readonly createdAt: Date
  readonly changedAt: Date
}

/** The group that holds the positions of a replay. */
export function positionsGroup({ mode, group }: Pick<Replay, 'mode' | 'group'>): string {
  return mode === 'beside' ? `${group}-replay` : group
}

export function isOver({ state }: Pick<Replay, 'state'>): boolean {
  return state === 'done' || state === 'aborted' || state === 'failed'
}

interface ReplayColumns extends Row {
  readonly id: string
  readonly project_id: string
  readonly group_id: string
  readonly topic: string
  readonly mode: ReplayMode
  readonly effect: string
  readonly source: string
  readonly parts: readonly { readonly partition: number; readonly from: string; readonly to: string }[]
  readonly saved: Readonly<Record<string, string>>
  readonly records: string
  readonly per_second: number | null
  readonly reason: string
  readonly state: ReplayState
  readonly holder: string | null
  readonly held_for_ms: number
  readonly problem: string | null
  readonly created_by: string
  readonly created_at: Date
  readonly changed_at: Date
}

const columns = `id::text, project_id, group_id, topic, mode, effect, source, parts, saved, records::text, per_second, reason,
  state, holder, greatest(0, extract(epoch FROM held_until - clock_timestamp()) * 1000)::float8 AS held_for_ms, problem,
  created_by, created_at, changed_at`
const isOpen = `state IN ('preparing', 'running', 'aborting')`

/** Writes a replay that begins, held by `holder`. Throws PIPE_CONFLICT while another one of the group is not over. */
export async function insertReplay(
  tx: Queryable,
  made: NewReplay,
  { holder, holdMs }: { readonly holder: string; readonly holdMs: number }
): Promise<Replay> {
  const { projectId, group, topic, mode, effect, source, parts, records, perSecond, reason, actor } = made
  const [row] = await tx.query<ReplayColumns>(
    `INSERT INTO replays (project_id, group_id, topic, mode, effect, source, parts, records, per_second, reason, created_by,
       holder, held_until)
     VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, $11, $12, clock_timestamp() + $13::float8 * interval '1 ms')
     ON CONFLICT (group_id) WHERE ${isOpen} DO NOTHING RETURNING ${columns}`,
    [
      projectId,
      group,
      topic,
      mode,
      effect,
      source,
      partsText(parts),
      String(records),
      perSecond ?? null,
      reason,
      actor,
      holder,
      holdMs
    ]
  )
  if (row !== undefined) return toReplay(row)
  const other = await openReplay(tx, group)
  throw new AppError(
    'PIPE_CONFLICT',
    `a replay of group ${group} is ${other?.state ?? 'under way'} already${other === undefined ? '' : ` (${other.id}, by ${other.actor})`}; ` +
      'one at a time: wait for it, or `millrace replay abort`'
  )
}

/** The replay of `group` that is not over. */
export async function openReplay(postgres: Queryable, group: string): Promise<Replay | undefined> {
  const [row] = await postgres.query<ReplayColumns>(
    `SELECT ${columns} FROM replays WHERE group_id = $1 AND ${isOpen}`,
    [group]
  )
  return row === undefined ? undefined : toReplay(row)
}

/** Throws PIPE_NOT_FOUND. */
export async function findReplay(postgres: Queryable, id: string): Promise<Replay> {
  const [row] = /^\d{1,18}$/.test(id)
    ? await postgres.query<ReplayColumns>(`SELECT ${columns} FROM replays WHERE id = $1::bigint`, [id])
    : []
  if (row === undefined) throw new AppError('PIPE_NOT_FOUND', `there is no replay '${id}'; \`millrace replay status\``)
  return toReplay(row)
}

/** Those that are not over, and the newest `limit` of the others, the newest first. */
export async function listReplays(postgres: Queryable, limit: number): Promise<readonly Replay[]> {
  const rows = await postgres.query<ReplayColumns>(
    `SELECT ${columns} FROM replays ORDER BY ${isOpen} DESC, replays.id DESC LIMIT $1`,
    [limit]
  )
  return rows.map(toReplay)
}

/**
 * Holds a replay for `holdMs` more, moved to `state`. Undefined while somebody else holds it, and when it is in none of
 * the states `from` any more.
 */
export async function holdReplay(
  postgres: Queryable,
  id: string,
  hold: {
    readonly holder: string
    readonly holdMs: number
    readonly from: readonly ReplayState[]
    readonly state: ReplayState
  }
): Promise<Replay | undefined> {
  const [row] = await postgres.query<ReplayColumns>(
    `UPDATE replays SET holder = $2, held_until = clock_timestamp() + $3::float8 * interval '1 ms', state = $5, changed_at = now()
     WHERE id = $1::bigint AND state = ANY($4::text[])
       AND (holder IS NULL OR holder = $2 OR held_until < clock_timestamp()) RETURNING ${columns}`,
    [id, hold.holder, hold.holdMs, hold.from, hold.state]
  )
  return row === undefined ? undefined : toReplay(row)
}

/** Ends the hold and moves the replay from one of `from` to `state`; undefined when it is in none of them. */
export async function moveReplay(
  postgres: Queryable,
  id: string,
  from: readonly ReplayState[],
  state: ReplayState,
  problem?: string
): Promise<Replay | undefined> {
  const [row] = await postgres.query<ReplayColumns>(
    `UPDATE replays SET state = $3, problem = coalesce($4, problem), holder = NULL, held_until = NULL, changed_at = now()
     WHERE id = $1::bigint AND state = ANY($2::text[]) RETURNING ${columns}`,
    [id, from, state, problem ?? null]
  )
  return row === undefined ? undefined : toReplay(row)
}

/** Writes down where the live group stood, and with it where an in-place replay ends. */
export async function saveOffsets(
  postgres: Queryable,
  id: string,
  saved: ReadonlyMap<number, bigint>,
  parts: readonly ReplayPart[]
): Promise<void> {
  const text = JSON.stringify(Object.fromEntries([...saved].map(([partition, offset]) => [partition, String(offset)])))
  await postgres.query('UPDATE replays SET saved = $2::jsonb, parts = $3::jsonb WHERE id = $1::bigint', [
    id,
    text,
    partsText(parts)
  ])
}

function partsText(parts: readonly ReplayPart[]): string {
  return JSON.stringify(parts.map(({ partition, from, to }) => ({ partition, from: String(from), to: String(to) })))
}

function toReplay(row: ReplayColumns): Replay {
  return {
    id: row.id,
    projectId: row.project_id,
    group: row.group_id,
    topic: row.topic,
    mode: row.mode,
    effect: row.effect,
    source: row.source,
    parts: row.parts.map(({ partition, from, to }) => ({ partition, from: BigInt(from), to: BigInt(to) })),
    saved: new Map(Object.entries(row.saved).map(([partition, offset]) => [Number(partition), BigInt(offset)])),
    records: BigInt(row.records),
    perSecond: row.per_second ?? undefined,
    reason: row.reason,
    actor: row.created_by,
    state: row.state,
    holder: row.holder ?? undefined,
    heldForMs: row.held_for_ms,
    problem: row.problem ?? undefined,
    createdAt: row.created_at,
    changedAt: row.changed_at
  }
}
