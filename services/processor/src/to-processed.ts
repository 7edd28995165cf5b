// A raw record -> the record of the processed topic. Pure. It keeps key and partition of the raw record, so consumers
// see the same order, and names its raw coordinates, so they can tell repeats apart.
import { AppError } from '@millrace/kernel'
import type { DeadReason } from '@millrace/kernel'
import { enrich, isRawTopic, processedTopic, toRowLine } from '@millrace/contracts'
import type { RawRecord } from '@millrace/contracts'

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
 * The processed form of `record`. A record that is not an event is dead here and nowhere else: the other groups leave
 * its letter to this one.
 */
export function toProcessed(record: RawEvent): Processed {
  // Only a forged letter names another topic; it belongs to no project that could keep a letter of it.
  if (!isRawTopic(record.topic)) return { kind: 'skip', reason: 'invalid' }
  const enriched = enrich(record)
  if (!enriched.ok) {
    const { reason, detail } = enriched
    return { kind: 'dead', reason, cause: new AppError('PIPE_NOT_AN_EVENT', `not an event: ${detail}`) }
  }
  const item = {
    topic: processedTopic(enriched.row.projectId),
    partition: record.partition,
    key: record.key,
    value: Buffer.from(toRowLine(enriched.row)),
    headers: {
      'raw.topic': record.topic,
      'raw.partition': String(record.partition),
      'raw.offset': String(record.offset),
      'raw.append-time': String(record.appendedAtMs)
    }
  }
  return { kind: 'item', item }
}
