// The letter of a record that can never have its effect: key and value untouched, original headers kept, and why it
// failed in headers of their own. Its id is deterministic, so writing it twice is writing it once.
import { AppError, deadReasons } from '@millrace/kernel'
import type { DeadReason } from '@millrace/kernel'
import type { KafkaRecord, ProduceRecord, RecordHeaders } from '@millrace/kafka'
import { redact } from './redact.ts'

/** The coordinates a record was first stored under. */
export interface Origin {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly appendedAtMs: number
}

/** Where in the runtime a record failed. */
export type LetterStage = 'decode' | 'handle'

/** Why and when a record failed. */
export interface Failure {
  readonly group: string
  readonly stage: LetterStage
  readonly reason: DeadReason
  readonly cause: unknown
  readonly attempts: number
  readonly failedAtMs: number
  readonly appVersion: string
}

/** A letter read back. */
export interface Letter {
  /** `group:topic:partition:offset` of the record that failed. */
  readonly id: string
  readonly origin: Origin
  readonly group: string
  readonly stage: LetterStage
  readonly reason: DeadReason
  readonly code: string
  readonly message: string
  readonly attempts: number
  readonly firstFailureAtMs: number
  readonly lastFailureAtMs: number
  readonly schemaId: string | undefined
  readonly appVersion: string
  /** The bytes are not in the letter, only in the original topic: it was too large for the dead-letter topic. */
  readonly stub: boolean
  /** Headers of the original record. */
  readonly headers: RecordHeaders
}

const prefix = 'dlq.'
const maxMessageBytes = 512

/**
 * The letter of `record` for `partition` of the dead-letter topic. A record that is itself a letter (it came through
 * the redrive topic) keeps the id, coordinates and first failure of that letter, and attempts add up.
 */
export function toLetter(record: KafkaRecord, failure: Failure, redriven: boolean): ProduceRecord & { origin: Origin } {
  const earlier = redriven ? parseLetter(record) : undefined
  const { topic, partition, offset, appendedAtMs } = record
  const origin: Origin = earlier?.origin ?? { topic, partition, offset, appendedAtMs }
  const { group, stage, reason, cause, attempts, failedAtMs, appVersion } = failure
  const id = `${group}:${origin.topic}:${origin.partition}:${origin.offset}`
  const schemaId = cause instanceof AppError ? cause.details['schemaId'] : undefined
  const headers: Record<string, Buffer | string> = {
    ...withoutPrefix(record.headers),
    'dlq.id': id,
    'dlq.topic': origin.topic,
    'dlq.partition': String(origin.partition),
    'dlq.offset': String(origin.offset),
    'dlq.append-time': String(origin.appendedAtMs),
    'dlq.group': group,
    'dlq.stage': stage,
    'dlq.error-class': reason,
    'dlq.error-code': codeOf(cause),
    'dlq.error-message': redact(messageOf(cause), maxMessageBytes),
    'dlq.attempts': String(attempts + (earlier?.attempts ?? 0)),
    'dlq.first-failure': String(earlier?.firstFailureAtMs ?? failedAtMs),
    'dlq.last-failure': String(failedAtMs),
    'dlq.app-version': appVersion
  }
  if (schemaId !== undefined && schemaId !== null) headers['dlq.schema-id'] = String(schemaId)
  return { origin, partition: origin.partition, key: record.key, value: record.value, headers }
}

/** The same letter without key and value, for a topic that refuses their size. */
export function toStub(letter: ProduceRecord, refusal: string): ProduceRecord {
  const own = Object.entries(letter.headers ?? {}).filter(([name]) => name.startsWith(prefix))
  const headers = { ...Object.fromEntries(own), 'dlq.stub': redact(refusal, maxMessageBytes) }
  return { partition: letter.partition, key: null, value: null, headers }
}

/** The letter in `record`; undefined when its headers are not those of a letter. */
export function parseLetter(record: Pick<KafkaRecord, 'headers'>): Letter | undefined {
  const text = (name: string): string => record.headers[`${prefix}${name}`]?.toString() ?? ''
  const topic = text('topic')
  const partition = whole(text('partition'))
  const offset = text('offset')
  const appendedAtMs = whole(text('append-time'))
  const stage = text('stage')
  const reason = deadReasons.find((known) => known === text('error-class'))
  const attempts = whole(text('attempts'))
  const first = whole(text('first-failure'))
  const last = whole(text('last-failure'))
  if (topic === '' || text('id') === '' || text('group') === '' || !/^\d{1,19}$/.test(offset)) return undefined
  if (partition === undefined || appendedAtMs === undefined || attempts === undefined) return undefined
  if (first === undefined || last === undefined || reason === undefined) return undefined
  if (stage !== 'decode' && stage !== 'handle') return undefined
  return {
    id: text('id'),
    origin: { topic, partition, offset: BigInt(offset), appendedAtMs },
    group: text('group'),
    stage,
    reason,
    code: text('error-code'),
    message: text('error-message'),
    attempts,
    firstFailureAtMs: first,
    lastFailureAtMs: last,
    schemaId: record.headers['dlq.schema-id']?.toString(),
    appVersion: text('app-version'),
    stub: record.headers['dlq.stub'] !== undefined,
    headers: withoutPrefix(record.headers)
  }
}

function withoutPrefix(headers: RecordHeaders): RecordHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(prefix)))
}

function whole(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

function codeOf(cause: unknown): string {
  if (cause instanceof AppError) return cause.code
  return cause instanceof Error ? cause.name : 'none'
}

function messageOf(cause: unknown): string {
  if (cause instanceof Error) return cause.message
  return typeof cause === 'string' ? cause : ''
}
