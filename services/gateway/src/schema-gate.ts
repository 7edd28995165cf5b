// The gate of the schemas: events of a type with a schema in force are checked against it. Types without one pass.
import type { ProjectContext } from '@millrace/contracts'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { createEventSchemas } from '@millrace/stores/event-schemas'
import type { EventSchemas, ProjectSchemas } from '@millrace/stores/event-schemas'
import type { Queryable } from '@millrace/stores/postgres'
import type { Acceptance, CheckedEvent, Gate, GateVerdicts } from './acceptance.ts'
import type { gatewayMetrics } from './metrics.ts'

export interface SchemaGateDeps {
  readonly postgres: Queryable
  readonly clock: Clock
  readonly log: Logger
  /** How long schemas are believed without asking PostgreSQL again. */
  readonly freshMs: number
  readonly metrics: Pick<BoundMetrics<typeof gatewayMetrics>, 'schemaMismatches'>
}

/** The gate over the schemas in PostgreSQL. */
export function openSchemaGate({ metrics, ...deps }: SchemaGateDeps): Gate {
  return createSchemaGate(createEventSchemas(deps), (mode) => metrics.schemaMismatches.add(1, { mode }))
}

/** Told of each event that breaks its schema, or passes because the schema is unusable. */
export type OnMismatch = (mode: 'enforce' | 'warn' | 'unusable') => void

/** A gate over `schemas`; it notes the version that an event passed on the event. Synchronous while they are known. */
export function createSchemaGate(schemas: EventSchemas, onMismatch: OnMismatch): Gate {
  return (project: ProjectContext, events: readonly CheckedEvent[]): GateVerdicts | Promise<GateVerdicts> => {
    const known = schemas.of(project.projectId)
    return known instanceof Promise
      ? known.then((read) => judge(read, events, onMismatch))
      : judge(known, events, onMismatch)
  }
}

function judge(
  schemas: ProjectSchemas | undefined,
  events: readonly CheckedEvent[],
  onMismatch: OnMismatch
): GateVerdicts {
  if (schemas === undefined) return events.map(({ eventId }) => notKnown(eventId))
  if (schemas.size === 0) return undefined
  return events.map((checked): Acceptance | undefined => {
    const active = schemas.get(checked.event.eventType)
    if (active === undefined) return undefined
    if (active.schema === undefined) {
      // Stored without the version, so it can be found and judged later; an event that is refused is gone.
      onMismatch('unusable')
      return undefined
    }
    const mismatch = active.schema.check(checked.event.properties)
    if (mismatch === undefined) {
      checked.schemaVersion = active.version
      return undefined
    }
    onMismatch(active.mode)
    if (active.mode === 'warn') return undefined
    const { pointer, expected } = mismatch
    const detail = `${pointer} is expected ${expected} by version ${active.version} of the schema`
    const refusal = { ok: false, status: 422, code: 'schema_mismatch', pointer, detail } as const
    return { kind: 'rejected', refusal: { ...refusal, expected, version: active.version } }
  })
}

function notKnown(eventId: string): Acceptance {
  return { kind: 'retry', code: 'unavailable', reason: 'schema_unknown', eventId }
}
