// One error type for everything that is not a bug. Its class decides what the caller does: wait, set aside, or stop.

/**
 * `transient`: a dependency is down or overloaded; the same work succeeds later. `poison`: this input can never
 * succeed. `fatal`: a wrong deployment or setting; a person must act.
 */
export type ErrorClass = 'transient' | 'poison' | 'fatal'

/** Every code with its class and the sentence the reference prints. The only declaration of error codes. */
export const errorCatalog = {
  PIPE_CONFIG_INVALID: { class: 'fatal', doc: 'Settings are missing or wrong; all of them are listed at once.' },
  PIPE_KAFKA_UNAVAILABLE: {
    class: 'transient',
    doc: 'The broker did not answer, or answered that it cannot serve now.'
  },
  PIPE_KAFKA_UNKNOWN_OUTCOME: { class: 'transient', doc: 'A produce request may or may not be stored.' },
  PIPE_KAFKA_REFUSED: { class: 'poison', doc: 'The broker refused a record for good: too large, or invalid.' },
  PIPE_KAFKA_FATAL: { class: 'fatal', doc: 'The Kafka client stopped for good; the process must be restarted.' },
  PIPE_PROCESSED_TOPIC: {
    class: 'transient',
    doc: 'A processed topic is missing, has too few partitions, or cannot be written; `millrace topics ensure` mends it.'
  },
  PIPE_NOT_AN_EVENT: { class: 'poison', doc: 'A record of a raw topic is not an event; the message says why.' },
  PIPE_TOPIC_DRIFT: { class: 'fatal', doc: 'A topic differs from topics.yaml in a way that cannot be reconciled.' },
  PIPE_TOPIC_MISSING: { class: 'fatal', doc: 'A declared topic does not exist; `millrace topics ensure` creates it.' },
  PIPE_POSTGRES_UNAVAILABLE: { class: 'transient', doc: 'PostgreSQL did not answer, or is starting or overloaded.' },
  PIPE_POSTGRES_REFUSED: { class: 'poison', doc: 'PostgreSQL refused a statement because of its data.' },
  PIPE_REDIS_UNAVAILABLE: { class: 'transient', doc: 'Redis did not answer in time.' },
  PIPE_REDIS_REFUSED: { class: 'poison', doc: 'Redis refused a command: wrong type, or a mistake in a script.' },
  PIPE_REDIS_POLICY: { class: 'fatal', doc: 'A Redis role runs with the wrong maxmemory-policy.' },
  PIPE_LIVE_STATE: {
    class: 'transient',
    doc: 'The live state of a project takes nothing now: it is being replaced, torn, or of another log; the message says which.'
  },
  PIPE_CLICKHOUSE_UNAVAILABLE: { class: 'transient', doc: 'ClickHouse did not answer, or is overloaded.' },
  PIPE_CLICKHOUSE_REFUSED: { class: 'poison', doc: 'ClickHouse refused rows because of their data.' },
  PIPE_CLICKHOUSE_QUERY: { class: 'poison', doc: 'ClickHouse refused a query: syntax, unknown column, or a limit.' },
  PIPE_TABLE_DRIFT: {
    class: 'fatal',
    doc: 'A table lacks a column that this version writes, or has it with another type; migrate first, then deploy.'
  },
  PIPE_MIGRATION_DRIFT: {
    class: 'fatal',
    doc: 'An applied migration differs from its file, or the order was changed.'
  },
  PIPE_OBJECTS_UNAVAILABLE: {
    class: 'transient',
    doc: 'The object store did not answer or refused, or holds something else under the name of a file.'
  },
  PIPE_ARCHIVE_BROKEN: {
    class: 'fatal',
    doc: 'The archive is not what it promises; `millrace archive verify` names the files.'
  },
  PIPE_SPOOL_UNAVAILABLE: {
    class: 'transient',
    doc: 'The disk on which files are made before they are stored is full or broken.'
  },
  PIPE_LETTER_STORM: {
    class: 'fatal',
    doc: 'A group stopped itself because too much of what it read was dead; docs/dead-letters.md says what to do.'
  },
  PIPE_NOT_FOUND: { class: 'poison', doc: 'The named thing does not exist.' },
  PIPE_CONFLICT: { class: 'poison', doc: 'The named thing exists already, or was changed meanwhile.' },
  PIPE_INVALID_INPUT: { class: 'poison', doc: 'An argument breaks its rule; the message names the rule.' },
  PIPE_STACK: {
    class: 'fatal',
    doc: 'The local stack could not start or stop; the message names the part and its log.'
  },
  PIPE_BREAKER_OPEN: {
    class: 'transient',
    doc: 'A store failed too often and is left alone for a while; see analytics_breaker_state.'
  },
  PIPE_DELIVERY: { class: 'transient', doc: 'A message to another system, such as a webhook, was not taken.' },
  PIPE_RATE_LIMITED: {
    class: 'transient',
    doc: 'A limit of the project turned the work away; `retryAfterMs` says for how long.'
  },
  PIPE_DEADLINE: { class: 'transient', doc: 'The work did not end within its deadline.' }
} as const satisfies Record<string, { class: ErrorClass; doc: string }>

/** A code of the closed set above. */
export type ErrorCode = keyof typeof errorCatalog

/** Structured facts about an error, for logs and problem details. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>

/** An expected failure. Anything thrown that is not an AppError is a bug. */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  readonly class: ErrorClass
  readonly details: ErrorDetails

  /** `message` says what was being done, where, and what to do; `cause` is the foreign error. */
  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.class = errorCatalog[code].class
    this.details = options.details ?? {}
  }
}

/** Whether waiting and trying the same again can help. */
export function isTransient(error: unknown): boolean {
  return error instanceof AppError && error.class === 'transient'
}

/** Whether this input can never succeed. */
export function isPoison(error: unknown): boolean {
  return error instanceof AppError && error.class === 'poison'
}

/** Any thrown value as an Error, the value itself when it is one already. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`non-error thrown: ${String(thrown)}`)
}
