// Turns what a scan found into the facts that the oracle compares. Written without the pipeline's own parser on purpose:
// a bug shared by both would be invisible.
import type { KafkaRecord, RecordHeaders } from '@millrace/kafka'
import { bytesHash } from './ledger.ts'
import type { LetterFact, LogFact } from './oracle.ts'

/** Facts of the raw topic; a record is an event when it is a JSON object with an event id and an event type. */
export function toLogFacts(records: readonly KafkaRecord[]): LogFact[] {
  return records.map(({ partition, offset, value, headers }) => ({
    partition,
    offset,
    eventId: eventIdOf(value),
    valueHash: bytesHash(value ?? ''),
    unchecked: text(headers, 'dedup') === 'unchecked'
  }))
}

/** Facts of the dead-letter topic. */
export function toLetterFacts(records: readonly KafkaRecord[]): LetterFact[] {
  return records.map(({ value, headers }) => ({
    letterId: text(headers, 'dlq.id'),
    group: text(headers, 'dlq.group'),
    partition: Number(text(headers, 'dlq.partition')),
    offset: BigInt(text(headers, 'dlq.offset') || '-1'),
    reason: text(headers, 'dlq.error-class'),
    valueHash: bytesHash(value ?? '')
  }))
}

/** How often each event id is in the records; records that are not events are left out. */
export function countEventIds(records: readonly KafkaRecord[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { value } of records) {
    const id = eventIdOf(value)
    if (id !== undefined) counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return counts
}

function eventIdOf(value: Buffer | null): string | undefined {
  try {
    const parsed: unknown = JSON.parse(value?.toString() ?? '')
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined
    const { eventId, eventType } = parsed as { readonly eventId?: unknown; readonly eventType?: unknown }
    return typeof eventId === 'string' && typeof eventType === 'string' ? eventId : undefined
  } catch {
    return undefined
  }
}

function text(headers: RecordHeaders, name: string): string {
  return headers[name]?.toString() ?? ''
}
