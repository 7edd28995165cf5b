// What becomes of an event, from its bytes to its answer. `accepted` and `duplicate` mean stored on all in-sync replicas;
// anything else means "not known to be stored".
import type { ClientEvent, EventRefusal, EventTime, ProjectContext } from '@millrace/contracts'
import type { UnavailableReason } from '@millrace/kafka'

/** What is known of the request besides its events; each part is stored with the event when it is set. */
export interface Origin {
  readonly ip?: string | undefined
  readonly userAgent?: string | undefined
  /** ISO 3166 code. */
  readonly country?: string | undefined
  /** When the batch was sent, by the client's clock; stands for events that do not say it themselves. */
  readonly sentAt?: string | undefined
}

/** Why an event is refused; what a schema of the project refuses says which version did and what it expected. */
export type Refusal = EventRefusal & { readonly version?: number; readonly expected?: string }

export type Acceptance =
  | { readonly kind: 'accepted'; readonly eventId: string; readonly generatedId: boolean }
  | { readonly kind: 'duplicate'; readonly eventId: string }
  | { readonly kind: 'rejected'; readonly refusal: Refusal }
  | Retry

/** The event has to be sent again; whether it is stored is not said. */
export interface Retry {
  readonly kind: 'retry'
  readonly code: 'in_progress' | 'unknown' | 'unavailable' | 'rate_limited'
  readonly reason: RetryReason
  readonly eventId: string
  /** When a repeat makes sense; undefined leaves it to the code. */
  readonly retryAfterMs?: number | undefined
}

/** Why an event has to be sent again. Closed: it is a metric label. */
export type RetryReason =
  | UnavailableReason
  | 'in_progress'
  | 'unknown'
  | 'broker_refused'
  | 'rate_limited'
  | 'schema_unknown'

/** Takes the events of one request, each the bytes of one JSON object, to their answers, in order. Never rejects. */
export type AcceptEvents = (
  project: ProjectContext,
  bodies: readonly Buffer[],
  origin: Origin
) => Promise<readonly Acceptance[]>

/** An event that passed the checks of its form. */
export interface CheckedEvent {
  /** Its place in the request. */
  readonly index: number
  readonly body: Buffer
  readonly event: ClientEvent
  readonly eventId: string
  /** The client sent no id. */
  readonly generatedId: boolean
  readonly time: EventTime
  /** Set by the gate of the schemas: the version that the event passed. */
  schemaVersion?: number
}

/**
 * Turns events away before they are reserved: one entry per event, undefined lets it pass; undefined for all of them when
 * every event passes. Synchronous while nothing has to be looked up.
 */
export type Gate = (
  project: ProjectContext,
  events: readonly CheckedEvent[],
  nowMs: number
) => GateVerdicts | Promise<GateVerdicts>

export type GateVerdicts = readonly (Acceptance | undefined)[] | undefined
