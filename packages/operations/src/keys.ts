// API keys of a project. A secret is shown once, when the key is made; the database keeps an HMAC of it.
import { digestSecret, generateApiKey } from '@millrace/contracts'
import type { ApiKeyKind } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Postgres, Queryable, Row } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'

export interface KeyAdmin {
  readonly postgres: Postgres
  /** Secret that API keys are hashed with; the same for every service. */
  readonly pepper: string
  /** Who acts, for the audit log: `cli:<user>` or `api:<key id>`. */
  readonly actor: string
}

export interface KeyRequest {
  readonly projectId: string
  readonly kind: ApiKeyKind
  readonly expiresAt?: Date
}

export interface CreatedKey {
  readonly keyId: string
  readonly projectId: string
  readonly kind: ApiKeyKind
  /** The whole key. It cannot be shown again. */
  readonly key: string
}

export interface ListedKey {
  readonly keyId: string
  readonly projectId: string
  readonly kind: ApiKeyKind
  readonly createdAt: Date
  readonly expiresAt: Date | null
  readonly revokedAt: Date | null
  /** To the hour. */
  readonly lastUsedAt: Date | null
}

interface KeyRow extends Row {
  readonly id: string
  readonly project_id: string
  readonly kind: ApiKeyKind
  readonly created_at: Date
  readonly expires_at: Date | null
  readonly revoked_at: Date | null
  readonly last_used_at: Date | null
}

const columns = 'id, project_id, kind, created_at, expires_at, revoked_at, last_used_at'
const foreignKeyViolation = '23503'

/** Makes a key; it works at once. Throws PIPE_NOT_FOUND for an unknown project. */
export async function createKey(admin: KeyAdmin, request: KeyRequest): Promise<CreatedKey> {
  return await admin.postgres.transaction((tx) => insertKey(tx, admin, request))
}

/** createKey inside a transaction of the caller. */
export async function insertKey(
  tx: Queryable,
  { pepper, actor }: Omit<KeyAdmin, 'postgres'>,
  { projectId, kind, expiresAt }: KeyRequest
): Promise<CreatedKey> {
  const { id, secret, key } = generateApiKey(kind)
  try {
    await tx.query('INSERT INTO api_keys (id, project_id, kind, digest, expires_at) VALUES ($1, $2, $3, $4, $5)', [
      id,
      projectId,
      kind,
      digestSecret(pepper, secret),
      expiresAt ?? null
    ])
  } catch (error) {
    if (!(error instanceof AppError) || error.details['sqlstate'] !== foreignKeyViolation) throw error
    throw new AppError('PIPE_NOT_FOUND', `there is no project '${projectId}'`, { cause: error })
  }
  const details = { kind, expiresAt: expiresAt?.toISOString() ?? null }
  await writeAudit(tx, { actor, action: 'key.create', projectId, subject: id, details })
  return { keyId: id, projectId, kind, key }
}

/** Keys of a project, or of all, revoked ones included, oldest first. Throws PIPE_NOT_FOUND for an unknown project. */
export async function listKeys(postgres: Queryable, projectId?: string): Promise<readonly ListedKey[]> {
  const rows = await postgres.query<KeyRow>(
    `SELECT ${columns} FROM api_keys WHERE $1::text IS NULL OR project_id = $1 ORDER BY created_at, id`,
    [projectId ?? null]
  )
  if (rows.length === 0 && projectId !== undefined) await requireProject(postgres, projectId)
  return rows.map((row) => ({
    keyId: row.id,
    projectId: row.project_id,
    kind: row.kind,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at
  }))
}

/**
 * Revokes a key; services turn it away within a minute. Revoking it again changes nothing, so a retry is safe. Throws
 * PIPE_NOT_FOUND for an unknown id.
 */
export async function revokeKey({ postgres, actor }: Omit<KeyAdmin, 'pepper'>, keyId: string): Promise<void> {
  await postgres.transaction(async (tx) => {
    const [row] = await tx.query<KeyRow>(`SELECT ${columns} FROM api_keys WHERE id = $1 FOR UPDATE`, [keyId])
    if (row === undefined) throw new AppError('PIPE_NOT_FOUND', `there is no API key with the id '${keyId}'`)
    if (row.revoked_at !== null) return
    await tx.query('UPDATE api_keys SET revoked_at = now() WHERE id = $1', [keyId])
    const states = { before: { revoked: false }, after: { revoked: true } }
    await writeAudit(tx, { actor, action: 'key.revoke', projectId: row.project_id, subject: keyId, ...states })
  })
}

async function requireProject(postgres: Queryable, projectId: string): Promise<void> {
  const found = await postgres.query('SELECT 1 FROM projects WHERE id = $1', [projectId])
  if (found.length === 0) throw new AppError('PIPE_NOT_FOUND', `there is no project '${projectId}'`)
}
