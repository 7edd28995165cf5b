// Manual merges of user ids and their undos: an append-only list in PostgreSQL. Who is one person follows from the merges
// in force as a set, so an undo gives back exactly what was before its merge, whatever happened between.
import { compareIds, createPersons, namesUser } from '@millrace/contracts'
import type { Person, PersonEdge } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Postgres, Queryable, Row } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'

/** Most user ids of one person: more is a script that merges what it should not. */
export const maxMergedUserIds = 1_000

export interface IdentityAdmin {
  readonly postgres: Postgres
  /** Who acts, for the audit log. */
  readonly actor: string
}

/** A merge, in force unless `undone`. */
export interface IdentityMerge extends PersonEdge {
  readonly mergeId: string
  readonly at: Date
  readonly actor: string
  readonly reason: string
  readonly undone: { readonly at: Date; readonly actor: string; readonly reason: string } | undefined
}

export interface IdentityState {
  /** Every merge of the project, oldest first. */
  readonly merges: readonly IdentityMerge[]
  /** Counts the changes; a closure of a higher one replaces it. */
  readonly version: bigint
}

export interface MergeRequest {
  readonly projectId: string
  readonly fromUserId: string
  readonly intoUserId: string
  readonly reason?: string
}

export interface MergeResult {
  readonly projectId: string
  readonly person: Person
  /** What was added; undefined when the two were one person already. */
  readonly merge: IdentityMerge | undefined
}

interface EdgeRow extends Row {
  readonly id: string
  readonly from_user_id: string
  readonly into_user_id: string
  readonly at: Date
  readonly actor: string
  readonly reason: string
  readonly undone_at: Date | null
  readonly undone_actor: string
  readonly undone_reason: string
  /** Of merge and undo the later row. */
  readonly changed: string
}

const selectMerges = `SELECT m.id, m.from_user_id, m.into_user_id, m.at, m.actor, m.reason,
  u.at AS undone_at, u.actor AS undone_actor, u.reason AS undone_reason, greatest(m.id, u.id) AS changed
  FROM identity_edges m LEFT JOIN identity_edges u ON u.undoes = m.id
  WHERE m.project_id = $1 AND m.undoes IS NULL ORDER BY m.id`

/** All merges of a project, by one statement: merges and version are of the same moment. */
export async function readMerges(postgres: Queryable, projectId: string): Promise<IdentityState> {
  const rows = await postgres.query<EdgeRow>(selectMerges, [projectId])
  const version = rows.reduce((highest, { changed }) => (BigInt(changed) > highest ? BigInt(changed) : highest), 0n)
  return { merges: rows.map(toMerge), version }
}

/** The merges that count. */
export function inForce(merges: readonly IdentityMerge[]): readonly IdentityMerge[] {
  return merges.filter(({ undone }) => undone === undefined)
}

/**
 * Makes the person of `fromUserId` part of the person of `intoUserId`; nothing is added when they are one already. Throws
 * PIPE_INVALID_INPUT for an id that names no user and for a person that would get too many user ids, PIPE_NOT_FOUND for
 * an unknown project.
 */
export async function mergeUsers(
  { postgres, actor }: IdentityAdmin,
  { projectId, fromUserId, intoUserId, reason = '' }: MergeRequest
): Promise<MergeResult> {
  for (const userId of [fromUserId, intoUserId]) requireUserId(userId)
  return await postgres.transaction(async (tx) => {
    await lockProject(tx, projectId)
    const before = createPersons(inForce((await readMerges(tx, projectId)).merges))
    const [from, into] = [before.personOf(fromUserId), before.personOf(intoUserId)]
    if (from.personId === into.personId) return { projectId, person: into, merge: undefined }
    const userIds = [...from.userIds, ...into.userIds].sort(compareIds)
    if (userIds.length > maxMergedUserIds) {
      throw invalid(
        `${from.personId} and ${into.personId} have ${userIds.length} user ids, more than ${maxMergedUserIds}`
      )
    }
    const merge = await insertMerge(tx, projectId, [from.personId, into.personId], { reason, actor })
    const details = { mergeId: merge.mergeId, from: from.personId, into: into.personId, reason }
    await writeAudit(tx, { actor, action: 'identity.merge', projectId, subject: fromUserId, details })
    return { projectId, person: { personId: into.personId, userIds }, merge }
  })
}

/**
 * Takes a merge back; others stay in force. Throws PIPE_NOT_FOUND for a merge that the project does not have,
 * PIPE_CONFLICT for one that was taken back before.
 */
export async function undoMerge(
  { postgres, actor }: IdentityAdmin,
  {
    projectId,
    mergeId,
    reason = ''
  }: { readonly projectId: string; readonly mergeId: string; readonly reason?: string }
): Promise<IdentityMerge> {
  return await postgres.transaction(async (tx) => {
    await lockProject(tx, projectId)
    const find = async () => (await readMerges(tx, projectId)).merges.find((merge) => merge.mergeId === mergeId)
    const merge = await find()
    if (merge === undefined) throw new AppError('PIPE_NOT_FOUND', `project ${projectId} has no merge '${mergeId}'`)
    if (merge.undone !== undefined) {
      const { at, actor: who } = merge.undone
      throw new AppError('PIPE_CONFLICT', `merge ${mergeId} was undone by ${who} at ${at.toISOString()}`)
    }
    await tx.query('INSERT INTO identity_edges (project_id, undoes, reason, actor) VALUES ($1, $2, $3, $4)', [
      projectId,
      mergeId,
      reason,
      actor
    ])
    const details = { from: merge.fromUserId, into: merge.intoUserId, reason }
    await writeAudit(tx, { actor, action: 'identity.undo', projectId, subject: mergeId, details })
    return (await find()) ?? merge
  })
}

async function insertMerge(
  tx: Queryable,
  projectId: string,
  [fromUserId, intoUserId]: readonly [from: string, into: string],
  { reason, actor }: { readonly reason: string; readonly actor: string }
): Promise<IdentityMerge> {
  const rows = await tx.query<{ id: string; at: Date }>(
    `INSERT INTO identity_edges (project_id, from_user_id, into_user_id, reason, actor)
     VALUES ($1, $2, $3, $4, $5) RETURNING id, at`,
    [projectId, fromUserId, intoUserId, reason, actor]
  )
  // RETURNING gives the one row that was inserted.
  const { id, at } = rows[0] as { id: string; at: Date }
  return { mergeId: id, fromUserId, intoUserId, at, actor, reason, undone: undefined }
}

/** Changes of one project take turns, so that each sees the merges before it and versions grow as they become visible. */
async function lockProject(tx: Queryable, projectId: string): Promise<void> {
  const found = await tx.query('SELECT 1 FROM projects WHERE id = $1 FOR UPDATE', [projectId])
  if (found.length === 0) throw new AppError('PIPE_NOT_FOUND', `there is no project '${projectId}'`)
}

function requireUserId(userId: string): void {
  if (userId.length > 255) throw invalid('a user id has at most 255 characters')
  if (!namesUser(userId))
    throw invalid(`'${userId}' names no user: placeholders and ids that begin with anon: count as none`)
}

function toMerge(row: EdgeRow): IdentityMerge {
  const { undone_at: undoneAt } = row
  return {
    mergeId: row.id,
    fromUserId: row.from_user_id,
    intoUserId: row.into_user_id,
    at: row.at,
    actor: row.actor,
    reason: row.reason,
    undone: undoneAt === null ? undefined : { at: undoneAt, actor: row.undone_actor, reason: row.undone_reason }
  }
}

function invalid(message: string): AppError {
  return new AppError('PIPE_INVALID_INPUT', message)
}
