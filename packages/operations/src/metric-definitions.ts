// Definitions of metrics: another meaning is another version that counts from a full hour on, never a change of one that
// has counted already.
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import { AppError } from '@millrace/kernel'
import type { Postgres, Queryable, Row } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'
import { checkMetricName, metricLimits, parseMeaning, writeMeaning } from './metric-definition-rules.ts'
import type { MetricMeaning } from './metric-definition-rules.ts'

export interface MetricAdmin {
  readonly postgres: Postgres
  /** Who acts, for the audit log. */
  readonly actor: string
}

/** A version of a metric, and whose it is. */
export interface ProjectDefinition {
  readonly projectId: string
  readonly definition: MetricDefinition
}

export interface DefinedMetric extends ProjectDefinition {
  /** False when the latest version says the same: nothing was added. */
  readonly added: boolean
}

export interface MetricRequest {
  readonly projectId: string
  readonly name: string
  readonly meaning: MetricMeaning
  /** A full hour at least five minutes ahead; default the next one. */
  readonly effectiveFromMs?: number
}

interface DefinitionRow extends Row {
  readonly project_id: string
  readonly name: string
  readonly version: number
  readonly effective_from: Date
  readonly definition: unknown
}

const hourMs = 3_600_000
/** Workers know of a definition by then, unless PostgreSQL is away from them all the time until it begins to count. */
const aheadMs = 300_000
const furthestMs = 30 * 24 * hourMs
const foreignKeyViolation = '23503'

/**
 * Adds a version of a metric. Throws PIPE_INVALID_INPUT for a name or start that cannot be, another kind of measure than
 * the versions before, or a project at its limit; PIPE_NOT_FOUND for an unknown project.
 */
export async function defineMetric(
  { postgres, actor }: MetricAdmin,
  { projectId, name, meaning, effectiveFromMs }: MetricRequest
): Promise<DefinedMetric> {
  checkMetricName(name)
  return await postgres.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`metrics ${projectId}`])
    const known = (await listDefinitions(tx, projectId)).map(({ definition }) => definition)
    const latest = known.filter((each) => each.name === name).at(-1)
    const text = JSON.stringify(writeMeaning(meaning))
    if (latest !== undefined && effectiveFromMs === undefined && JSON.stringify(writeMeaning(latest)) === text)
      return { projectId, definition: latest, added: false }
    // The database's clock: those of the machines where people type may be wrong.
    const [now] = await tx.query<{ ms: number }>(`SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms`)
    const startMs = startOf(effectiveFromMs, now?.ms ?? 0, latest)
    checkRoom(known, name, meaning, latest)
    const version = (latest?.version ?? 0) + 1
    await insertVersion(tx, { projectId, name, version, startMs, text, actor })
    const details = { version, effectiveFromMs: startMs, ...writeMeaning(meaning) }
    const before = latest === undefined ? undefined : { version: latest.version, ...writeMeaning(latest) }
    await writeAudit(tx, { actor, action: 'metric.define', projectId, subject: name, details, before, after: details })
    return { projectId, definition: { ...meaning, name, version, effectiveFromMs: startMs }, added: true }
  })
}

/** All versions of the definitions of a project, or of all projects, by project, name and version. */
export async function listDefinitions(postgres: Queryable, projectId?: string): Promise<readonly ProjectDefinition[]> {
  const rows = await postgres.query<DefinitionRow>(
    `SELECT project_id, name, version, effective_from, definition FROM metric_definitions
     WHERE $1::text IS NULL OR project_id = $1 ORDER BY project_id, name, version`,
    [projectId ?? null]
  )
  return rows.map(({ project_id, name, version, effective_from, definition }) => ({
    projectId: project_id,
    definition: { ...parseMeaning(definition), name, version, effectiveFromMs: effective_from.getTime() }
  }))
}

function startOf(wantedMs: number | undefined, nowMs: number, latest: MetricDefinition | undefined): number {
  const earliestMs = Math.ceil((nowMs + aheadMs) / hourMs) * hourMs
  const startMs = wantedMs ?? Math.max(earliestMs, latest?.effectiveFromMs ?? 0)
  const text = (ms: number): string => new Date(ms).toISOString()
  if (startMs % hourMs !== 0) throw invalid(`a metric starts at a full hour (UTC), not ${text(startMs)}`)
  if (startMs < earliestMs) throw invalid(`a metric starts five minutes ahead at least: ${text(earliestMs)} or later`)
  if (startMs > nowMs + furthestMs) throw invalid('a metric starts within 30 days')
  if (latest !== undefined && startMs < latest.effectiveFromMs)
    throw invalid(`version ${latest.version} starts at ${text(latest.effectiveFromMs)}; the next one not before that`)
  return startMs
}

function checkRoom(
  known: readonly MetricDefinition[],
  name: string,
  { measure }: MetricMeaning,
  latest: MetricDefinition | undefined
): void {
  if (latest === undefined) {
    const names = new Set(known.map((each) => each.name)).size
    if (names >= metricLimits.metrics) throw invalid(`a project has at most ${metricLimits.metrics} metrics of its own`)
    return
  }
  if (latest.version >= metricLimits.versions)
    throw invalid(`'${name}' has ${metricLimits.versions} versions; choose another name`)
  // Values of all versions stand in one series, and its readers know one meaning of the number.
  if (latest.measure.kind !== measure.kind)
    throw invalid(`'${name}' is a ${latest.measure.kind}; a ${measure.kind} takes another name`)
}

async function insertVersion(
  tx: Queryable,
  made: { projectId: string; name: string; version: number; startMs: number; text: string; actor: string }
): Promise<void> {
  const { projectId, name, version, startMs, text, actor } = made
  try {
    await tx.query(
      `INSERT INTO metric_definitions (project_id, name, version, effective_from, definition, created_by)
       VALUES ($1, $2, $3, to_timestamp($4::float8 / 1000), $5::jsonb, $6)`,
      [projectId, name, version, startMs, text, actor]
    )
  } catch (error) {
    if (!(error instanceof AppError) || error.details['sqlstate'] !== foreignKeyViolation) throw error
    throw new AppError('PIPE_NOT_FOUND', `there is no project '${projectId}'`, { cause: error })
  }
}

function invalid(message: string): AppError {
  return new AppError('PIPE_INVALID_INPUT', message)
}
