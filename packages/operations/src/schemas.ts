// Schemas of event types: register a version, list them, choose how strictly they are applied, and see beforehand what a
// new version would refuse.
import { compileEventSchema } from '@millrace/contracts'
import type { SchemaMismatch, SchemaMode } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Postgres, Queryable, Row } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'

export interface SchemaAdmin {
  readonly postgres: Postgres
  /** Who acts, for the audit log. */
  readonly actor: string
}

export interface SchemaPlace {
  readonly projectId: string
  readonly eventType: string
}

export interface PushedSchema extends SchemaPlace {
  readonly version: number
  readonly mode: SchemaMode
  /** False when the text is that of the version in force: nothing was added. */
  readonly added: boolean
}

export interface ListedSchema extends SchemaPlace {
  readonly version: number
  readonly mode: SchemaMode
  readonly versions: number
  readonly changedAt: Date
}

interface ActiveRow extends Row {
  readonly version: number
  readonly mode: SchemaMode
  readonly same: boolean
}

const foreignKeyViolation = '23503'

/**
 * Registers `schema` as the next version of its type and puts it in force, in `mode` or as the type was before (a new type:
 * `warn`). Throws PIPE_INVALID_INPUT with place and reason for a schema that cannot be used, PIPE_NOT_FOUND for an unknown
 * project.
 */
export async function pushSchema(
  { postgres, actor }: SchemaAdmin,
  { projectId, eventType }: SchemaPlace,
  schema: unknown,
  mode?: SchemaMode
): Promise<PushedSchema> {
  compileEventSchema(schema)
  const text = JSON.stringify(schema)
  return await postgres.transaction(async (tx) => {
    await lockType(tx, { projectId, eventType })
    const [active] = await tx.query<ActiveRow>(
      `SELECT version, mode, schema = $3::jsonb AS same FROM active_schemas
       JOIN event_schemas USING (project_id, event_type, version) WHERE project_id = $1 AND event_type = $2`,
      [projectId, eventType, text]
    )
    const chosen = mode ?? active?.mode ?? 'warn'
    const added = active?.same !== true
    const version = added ? await insertVersion(tx, { projectId, eventType }, text, actor) : active.version
    await activate(tx, { projectId, eventType }, version, chosen)
    const details = { version, mode: chosen, added }
    const before = active === undefined ? undefined : { version: active.version, mode: active.mode }
    const states = { before, after: { version, mode: chosen } }
    await writeAudit(tx, { actor, action: 'schema.push', projectId, subject: eventType, details, ...states })
    return { projectId, eventType, version, mode: chosen, added }
  })
}

/** Changes how strictly the schema of a type is applied. Throws PIPE_NOT_FOUND when it has none. */
export async function setSchemaMode(
  { postgres, actor }: SchemaAdmin,
  { projectId, eventType }: SchemaPlace,
  mode: SchemaMode
): Promise<PushedSchema> {
  return await postgres.transaction(async (tx) => {
    const [row] = await tx.query<{ version: number; before: SchemaMode }>(
      `UPDATE active_schemas SET mode = $3, changed_at = now()
       FROM (SELECT mode FROM active_schemas WHERE project_id = $1 AND event_type = $2 FOR UPDATE) AS earlier
       WHERE project_id = $1 AND event_type = $2 RETURNING version, earlier.mode AS before`,
      [projectId, eventType, mode]
    )
    if (row === undefined) throw new AppError('PIPE_NOT_FOUND', `'${eventType}' of '${projectId}' has no schema`)
    const details = { version: row.version, mode }
    const states = { before: { mode: row.before }, after: { mode } }
    await writeAudit(tx, { actor, action: 'schema.mode', projectId, subject: eventType, details, ...states })
    return { projectId, eventType, version: row.version, mode, added: false }
  })
}

/** The schemas of a project, or of all, by project and type. */
export async function listSchemas(postgres: Queryable, projectId?: string): Promise<readonly ListedSchema[]> {
  const rows = await postgres.query<{
    project_id: string
    event_type: string
    version: number
    mode: SchemaMode
    versions: number
    changed_at: Date
  }>(
    `SELECT project_id, event_type, active_schemas.version, mode, changed_at, (
       SELECT count(*)::integer FROM event_schemas
       WHERE event_schemas.project_id = active_schemas.project_id AND event_schemas.event_type = active_schemas.event_type
     ) AS versions
     FROM active_schemas WHERE $1::text IS NULL OR project_id = $1 ORDER BY project_id, event_type`,
    [projectId ?? null]
  )
  return rows.map((row) => ({
    projectId: row.project_id,
    eventType: row.event_type,
    version: row.version,
    mode: row.mode,
    versions: row.versions,
    changedAt: row.changed_at
  }))
}

export interface SchemaCheck extends SchemaPlace {
  readonly checked: number
  readonly refused: number
  /** The first few events that would be refused, newest first. */
  readonly examples: readonly (SchemaMismatch & { readonly eventId: string })[]
}

const maxExamples = 10

/** Runs `schema` against the newest `last` stored events of the type. Throws PIPE_INVALID_INPUT as `pushSchema` does. */
export async function checkSchema(
  clickhouse: Pick<Clickhouse, 'rows'>,
  { projectId, eventType }: SchemaPlace,
  schema: unknown,
  last: number
): Promise<SchemaCheck> {
  const compiled = compileEventSchema(schema)
  const rows = await clickhouse.rows<{ eventId: string; properties: string }>(
    `SELECT eventId, properties FROM events WHERE projectId = {projectId:String} AND eventType = {eventType:String}
     ORDER BY timestamp DESC, eventId LIMIT {last:UInt32}`,
    { projectId, eventType, last }
  )
  const examples: (SchemaMismatch & { readonly eventId: string })[] = []
  let refused = 0
  for (const { eventId, properties } of rows) {
    const mismatch = compiled.checkText(properties)
    if (mismatch === undefined) continue
    refused++
    if (examples.length < maxExamples) examples.push({ eventId, ...mismatch })
  }
  return { projectId, eventType, checked: rows.length, refused, examples }
}

/** Two pushes of one type wait for each other, so that versions have no gaps and none is lost. */
async function lockType(tx: Queryable, { projectId, eventType }: SchemaPlace): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`schema ${projectId} ${eventType}`])
}

async function insertVersion(tx: Queryable, place: SchemaPlace, text: string, actor: string): Promise<number> {
  try {
    const [row] = await tx.query<{ version: number }>(
      `INSERT INTO event_schemas (project_id, event_type, version, schema, created_by)
       SELECT $1, $2, coalesce(max(version), 0) + 1, $3::jsonb, $4 FROM event_schemas
       WHERE project_id = $1 AND event_type = $2 RETURNING version`,
      [place.projectId, place.eventType, text, actor]
    )
    return row?.version ?? 1
  } catch (error) {
    if (!(error instanceof AppError) || error.details['sqlstate'] !== foreignKeyViolation) throw error
    throw new AppError('PIPE_NOT_FOUND', `there is no project '${place.projectId}'`, { cause: error })
  }
}

async function activate(tx: Queryable, place: SchemaPlace, version: number, mode: SchemaMode): Promise<void> {
  await tx.query(
    `INSERT INTO active_schemas (project_id, event_type, version, mode) VALUES ($1, $2, $3, $4)
     ON CONFLICT (project_id, event_type) DO UPDATE SET version = $3, mode = $4, changed_at = now()`,
    [place.projectId, place.eventType, version, mode]
  )
}
