// What an error of the client means to us: by protocol type, error name or socket code, never by message text. Total:
// what no table knows is a bug and stops the process.
import { AppError } from '@millrace/kernel'

/**
 * `unavailable`: try again later. `fenced`: the group moved on. `missing`: no such topic or partition. `refused`: the
 * request can never succeed as it is. `fatal`: a wrong deployment or a bug.
 */
export type FailureKind = 'unavailable' | 'fenced' | 'missing' | 'refused' | 'fatal'

export interface KafkaFailure {
  readonly kind: FailureKind
  /** Protocol type, error name or socket code. */
  readonly code: string
  /** Whether a produce request that failed so may have been stored all the same. */
  readonly maybeStored: boolean
}

interface Meaning {
  readonly kind: FailureKind
  readonly maybeStored: boolean
}

const unavailable: Meaning = { kind: 'unavailable', maybeStored: false }
const inDoubt: Meaning = { kind: 'unavailable', maybeStored: true }
const fenced: Meaning = { kind: 'fenced', maybeStored: false }
const missing: Meaning = { kind: 'missing', maybeStored: false }
const refused: Meaning = { kind: 'refused', maybeStored: false }
const fatal: Meaning = { kind: 'fatal', maybeStored: false }

/** Protocol errors by their number: produce replies carry the number alone. */
export const protocolErrors: ReadonlyMap<number, readonly [type: string, meaning: Meaning]> = new Map([
  [-1, ['UNKNOWN', inDoubt]],
  [2, ['CORRUPT_MESSAGE', unavailable]],
  [3, ['UNKNOWN_TOPIC_OR_PARTITION', missing]],
  [5, ['LEADER_NOT_AVAILABLE', unavailable]],
  [6, ['NOT_LEADER_FOR_PARTITION', unavailable]],
  [7, ['REQUEST_TIMED_OUT', inDoubt]],
  [8, ['BROKER_NOT_AVAILABLE', unavailable]],
  [9, ['REPLICA_NOT_AVAILABLE', unavailable]],
  [10, ['MESSAGE_TOO_LARGE', refused]],
  [13, ['NETWORK_EXCEPTION', inDoubt]],
  [14, ['GROUP_LOAD_IN_PROGRESS', unavailable]],
  [15, ['GROUP_COORDINATOR_NOT_AVAILABLE', unavailable]],
  [16, ['NOT_COORDINATOR_FOR_GROUP', unavailable]],
  [17, ['INVALID_TOPIC_EXCEPTION', refused]],
  [18, ['RECORD_LIST_TOO_LARGE', refused]],
  [19, ['NOT_ENOUGH_REPLICAS', unavailable]],
  [20, ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', inDoubt]],
  [21, ['INVALID_REQUIRED_ACKS', fatal]],
  [22, ['ILLEGAL_GENERATION', fenced]],
  [23, ['INCONSISTENT_GROUP_PROTOCOL', fatal]],
  [24, ['INVALID_GROUP_ID', fatal]],
  [25, ['UNKNOWN_MEMBER_ID', fenced]],
  [26, ['INVALID_SESSION_TIMEOUT', fatal]],
  [27, ['REBALANCE_IN_PROGRESS', fenced]],
  [29, ['TOPIC_AUTHORIZATION_FAILED', refused]],
  [30, ['GROUP_AUTHORIZATION_FAILED', fatal]],
  [31, ['CLUSTER_AUTHORIZATION_FAILED', refused]],
  [32, ['INVALID_TIMESTAMP', refused]],
  [33, ['UNSUPPORTED_SASL_MECHANISM', fatal]],
  [35, ['UNSUPPORTED_VERSION', fatal]],
  [36, ['TOPIC_ALREADY_EXISTS', refused]],
  [37, ['INVALID_PARTITIONS', refused]],
  [38, ['INVALID_REPLICATION_FACTOR', refused]],
  [40, ['INVALID_CONFIG', refused]],
  [41, ['NOT_CONTROLLER', unavailable]],
  [42, ['INVALID_REQUEST', fatal]],
  [43, ['UNSUPPORTED_FOR_MESSAGE_FORMAT', refused]],
  [44, ['POLICY_VIOLATION', refused]],
  [56, ['KAFKA_STORAGE_ERROR', inDoubt]],
  [58, ['SASL_AUTHENTICATION_FAILED', fatal]],
  [60, ['REASSIGNMENT_IN_PROGRESS', unavailable]],
  [68, ['NON_EMPTY_GROUP', fenced]],
  [74, ['FENCED_LEADER_EPOCH', unavailable]],
  [75, ['UNKNOWN_LEADER_EPOCH', unavailable]],
  [76, ['UNSUPPORTED_COMPRESSION_TYPE', refused]],
  [78, ['OFFSET_NOT_AVAILABLE', unavailable]],
  [82, ['FENCED_INSTANCE_ID', fenced]],
  [87, ['INVALID_RECORD', refused]],
  [88, ['UNSTABLE_OFFSET_COMMIT', unavailable]],
  [89, ['THROTTLING_QUOTA_EXCEEDED', unavailable]]
])

const meaningByType: ReadonlyMap<string, Meaning> = new Map(protocolErrors.values())

/** Errors that the client makes itself. A closed connection or a timeout says nothing about what the broker did. */
const meaningByName: ReadonlyMap<string, Meaning> = new Map([
  ['KafkaJSConnectionClosedError', inDoubt],
  ['KafkaJSRequestTimeoutError', inDoubt],
  ['KafkaJSMetadataNotLoaded', unavailable],
  ['KafkaJSTopicMetadataNotLoaded', unavailable],
  ['KafkaJSStaleTopicMetadataAssignment', unavailable],
  ['KafkaJSBrokerNotFound', unavailable],
  ['KafkaJSNoBrokerAvailableError', unavailable],
  ['KafkaJSGroupCoordinatorNotFound', unavailable],
  ['KafkaJSTimeout', unavailable],
  ['KafkaJSLockTimeout', unavailable],
  ['KafkaJSSASLAuthenticationError', fatal],
  ['KafkaJSNotImplemented', fatal],
  ['KafkaJSServerDoesNotSupportApiKey', fatal]
])

/** Socket errors raised while connecting: nothing was sent. Any other one may have cut a request in flight. */
const connectCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN'
])

/** What `error`, or the error that it wraps, means. */
export function classifyKafka(error: unknown): KafkaFailure {
  if (error instanceof AppError) {
    if (error.class === 'transient') return { ...unavailable, code: error.code }
    if (error.code === 'PIPE_TOPIC_MISSING') return { ...missing, code: error.code }
  }
  for (const layer of layersOf(error)) {
    const found = meaningOf(layer)
    if (found !== undefined) return found
  }
  const name = error instanceof Error ? error.name : 'UNKNOWN'
  return { ...fatal, code: name, maybeStored: true }
}

/** The meaning of an error number in a reply. An unknown number is doubt, never a promise. */
export function classifyCode(code: number): KafkaFailure {
  const known = protocolErrors.get(code)
  return known === undefined ? { ...inDoubt, code: `ERROR_${code}` } : { ...known[1], code: known[0] }
}

/** `error` as ours: `doing` says what was attempted, such as "listing topics". An AppError passes unchanged. */
export function toAppError(error: unknown, doing: string): AppError {
  if (error instanceof AppError) return error
  const { kind, code } = classifyKafka(error)
  const options = { cause: error, details: { kafka: code } }
  switch (kind) {
    case 'unavailable':
      return new AppError('PIPE_KAFKA_UNAVAILABLE', `${doing}: Kafka cannot serve it now (${code})`, options)
    case 'missing':
      return new AppError('PIPE_TOPIC_MISSING', `${doing}: the topic or partition does not exist`, options)
    case 'fenced':
      return new AppError('PIPE_CONFLICT', `${doing}: the group has other members or moved on (${code})`, options)
    case 'refused':
      return new AppError('PIPE_KAFKA_REFUSED', `${doing}: refused by the broker (${code})`, options)
    case 'fatal':
      return new AppError('PIPE_KAFKA_FATAL', `${doing}: the client failed for good (${code})`, options)
  }
}

/** `error` and what it wraps, the outermost first; wrappers that only count retries are skipped by having no meaning. */
export function layersOf(error: unknown): readonly object[] {
  const layers: object[] = []
  const add = (layer: unknown): void => {
    if (typeof layer !== 'object' || layer === null || layers.includes(layer)) return
    layers.push(layer)
    if ('cause' in layer) add(layer.cause)
    if ('errors' in layer && Array.isArray(layer.errors)) for (const inner of layer.errors) add(inner)
  }
  add(error)
  return layers
}

function meaningOf(layer: object): KafkaFailure | undefined {
  const type = textOf(layer, 'type')
  const byType = type === undefined ? undefined : meaningByType.get(type)
  if (type !== undefined && byType !== undefined) return { ...byType, code: type }
  const name = textOf(layer, 'name') ?? ''
  if (name === 'KafkaJSProtocolError' && 'retriable' in layer) {
    return { ...(layer.retriable === true ? inDoubt : fatal), maybeStored: true, code: type ?? name }
  }
  if (name === 'KafkaJSConnectionError') {
    const code = textOf(layer, 'code')
    return { ...(code === undefined || connectCodes.has(code) ? unavailable : inDoubt), code: code ?? name }
  }
  const byName = meaningByName.get(name)
  return byName === undefined ? undefined : { ...byName, code: name }
}

function textOf(layer: object, key: 'type' | 'name' | 'code'): string | undefined {
  const value: unknown = Reflect.get(layer, key)
  return typeof value === 'string' ? value : undefined
}
