// A raw record -> the record of the processed topic. Pure. It keeps key and partition of the raw record, so consumers
// see the same order, and names its raw coordinates, so they can tell repeats apart.
import { AppError } from '@millrace/kernel'
import type { DeadReason } from '@millrace/kernel'
import { isRawTopic, processedTopic, toRowLine } from '@millrace/contracts'
import type { Enrich, EventRow, RawRecord } from '@millrace/contracts'

/** A raw record with its key; redriven letters come with the coordinates of the record that failed. */
export interface RawEvent extends RawRecord {
  readonly key: Buffer | null
}

/** One record for a processed topic. */
export interface ProcessedRecord {
  readonly topic: string
  readonly partition: number
  readonly key: Buffer | null
  readonly value: Buffer
  readonly headers: Readonly<Record<string, string>>
}

/** The processed form of a raw record, or the end of its way. */
export type Processed =
  | { readonly kind: 'item'; readonly item: ProcessedRecord }
  | { readonly kind: 'skip'; readonly reason: 'invalid' }
  | { readonly kind: 'dead'; readonly reason: DeadReason; readonly cause: unknown }

/**
 * The processed form of each record, with `headers` beside its own. A record that is not an event is dead here and nowhere
 * else: the other groups leave its letter to this one.
 */
export function createToProcessed(
  enrich: Enrich,
  headers: Readonly<Record<string, string>> = {}
): (record: RawEvent) => Processed {
  return (record) => {
    // Only a forged letter names another topic; it belongs to no project that could keep a letter of it.
    if (!isRawTopic(record.topic)) return { kind: 'skip', reason: 'invalid' }
    const enriched = enrich(record)
    if (enriched.ok) return { kind: 'item', item: toItem(record, enriched.row, headers) }
    const { reason, detail } = enriched
    return { kind: 'dead', reason, cause: new AppError('PIPE_NOT_AN_EVENT', `not an event: ${detail}`) }
  }
}

function toItem(
  { topic, partition, offset, key, appendedAtMs }: RawEvent,
  row: EventRow,
  headers: Readonly<Record<string, string>>
): ProcessedRecord {
  return {
    topic: processedTopic(row.projectId),
    partition,
    key,
    value: Buffer.from(toRowLine(row)),
    headers: {
      ...headers,
      'raw.topic': topic,
      'raw.partition': String(partition),
      'raw.offset': String(offset),
      'raw.append-time': String(appendedAtMs)
    }
  }
}
