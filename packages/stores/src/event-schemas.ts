// The schemas in force, by project, from memory while they are fresh. A project's schemas are read together: an event type
// without one then costs nothing to know of, however many types a client makes up. With PostgreSQL down, what was read
// before stays good for a day; a project never read is "not known", never "without schemas".
import { AppError, toError, withDeadline } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { compileEventSchema } from '@millrace/contracts'
import type { EventSchema, SchemaMode } from '@millrace/contracts'
import type { Logger } from '@millrace/observability'
import { createBoundedMap } from './bounded-map.ts'
import type { Queryable, Row } from './postgres-run.ts'

/** The schema in force for one event type. */
export interface ActiveSchema {
  readonly version: number
  readonly mode: Exclude<SchemaMode, 'off'>
  /** Undefined: registered by a version with other limits, and this one cannot use it. */
  readonly schema: EventSchema | undefined
}

/** By event type; types without an entry have no schema in force. */
export type ProjectSchemas = ReadonlyMap<string, ActiveSchema>

export interface EventSchemas {
  /** Synchronous while fresh. Undefined: not known, because PostgreSQL does not say. Never rejects. */
  of(projectId: string): ProjectSchemas | undefined | Promise<ProjectSchemas | undefined>
}

export interface EventSchemasOptions {
  readonly postgres: Queryable
  readonly clock: Clock
  readonly log: Logger
  /**
   * Schemas older than this are read again first, so that a change is in force within it; after a third of it they are read
   * behind the requests. Default 60 s.
   */
  readonly freshMs?: number
  /** How long they are used while PostgreSQL is away. Default 24 h. */
  readonly staleMs?: number
  /** Projects remembered at most. */
  readonly maxProjects?: number
}

interface SchemaRow extends Row {
  readonly event_type: string
  readonly version: number
  readonly mode: Exclude<SchemaMode, 'off'>
  readonly schema: unknown
}

interface Remembered {
  readonly schemas: ProjectSchemas
  readonly readAtMs: number
}

/** Events wait for it, and a PostgreSQL that is frozen says nothing for longer. */
const answerMs = 1_000

const select = `SELECT event_type, version, mode, schema FROM active_schemas
  JOIN event_schemas USING (project_id, event_type, version) WHERE project_id = $1 AND mode <> 'off'`

/** After a failed read PostgreSQL is left alone for this time: waiting requests would only pile up. */
const pauseAfterFailureMs = 1_000
/** For this long after one nobody waits for PostgreSQL who can go on with what is known: it is tried behind. */
const awayAfterFailureMs = 10_000

/** Schemas over `postgres`; nothing is read before it is asked for. */
export function createEventSchemas(options: EventSchemasOptions): EventSchemas {
  const { postgres, clock, log, freshMs = 60_000, staleMs = 86_400_000 } = options
  const remembered = createBoundedMap<string, Remembered>(options.maxProjects ?? 1_000)
  let failedAtMs = Number.NEGATIVE_INFINITY
  const isAway = (): boolean => clock.monotonic() - failedAtMs < awayAfterFailureMs
  const reading = new Map<string, Promise<ProjectSchemas | undefined>>()

  const read = (projectId: string): Promise<ProjectSchemas | undefined> => {
    const under = reading.get(projectId)
    if (under !== undefined) return under
    const started = readNow(projectId).finally(() => reading.delete(projectId))
    reading.set(projectId, started)
    return started
  }

  const readNow = async (projectId: string): Promise<ProjectSchemas | undefined> => {
    const known = remembered.get(projectId)
    const startedMs = clock.monotonic()
    try {
      const asked = postgres.query<SchemaRow>(select, [projectId])
      const rows = await withDeadline(asked, answerMs, clock, 'reading the schemas of a project')
      failedAtMs = Number.NEGATIVE_INFINITY
      const schemas = await compileAll(projectId, rows, known?.schemas)
      remembered.set(projectId, { schemas, readAtMs: startedMs })
      return schemas
    } catch (error) {
      failedAtMs = clock.monotonic()
      log.warn({ projectId, err: toError(error) }, 'schemas cannot be read')
      return stale(known)
    }
  }

  const stale = (known: Remembered | undefined): ProjectSchemas | undefined =>
    known !== undefined && clock.monotonic() - known.readAtMs < staleMs ? known.schemas : undefined

  /** One after the other, with a turn between them, so that requests of others go on. */
  const compileAll = async (
    projectId: string,
    rows: readonly SchemaRow[],
    before: ProjectSchemas | undefined
  ): Promise<ProjectSchemas> => {
    const schemas = new Map<string, ActiveSchema>()
    for (const { event_type: type, version, mode, schema } of rows) {
      const known = before?.get(type)
      if (known?.version === version) {
        schemas.set(type, { ...known, mode })
        continue
      }
      await new Promise<void>((resolve) => void setImmediate(resolve))
      schemas.set(type, { version, mode, schema: compile(schema, { projectId, type, version }) })
    }
    return schemas
  }

  const compile = (schema: unknown, place: object): EventSchema | undefined => {
    try {
      return compileEventSchema(schema)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      log.error({ ...place, err: error }, 'a registered schema cannot be used')
      return undefined
    }
  }

  return {
    of(projectId) {
      const known = remembered.get(projectId)
      const ageMs = known === undefined ? Infinity : clock.monotonic() - known.readAtMs
      if (ageMs <= freshMs / 3) return known?.schemas
      if (clock.monotonic() - failedAtMs < pauseAfterFailureMs) return stale(known)
      if (known === undefined || (isAway() ? ageMs >= staleMs : ageMs > freshMs)) return read(projectId)
      void read(projectId)
      return known.schemas
    }
  }
}
