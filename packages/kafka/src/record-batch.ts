// The library's batch as ours: offsets as bigint, keys, values and headers as bytes.
import type { Batch, IHeaders, KafkaMessage } from 'kafkajs'
import type { KafkaRecord, RecordBatch, RecordHeaders } from './port.ts'

/** The offset that the fetch asked for; the library keeps it on the batch but leaves it out of its types. */
export function fetchedAt(batch: Batch): bigint {
  const { fetchedOffset } = batch as Batch & { readonly fetchedOffset: string | number }
  return BigInt(fetchedOffset)
}

/** The offset to fetch next: control records and holes at the end of the batch are passed. */
export function nextOffset(batch: Batch): bigint {
  return BigInt(batch.lastOffset()) + 1n
}

/** `batch` with its records in ascending order. */
export function toRecordBatch(batch: Batch): RecordBatch {
  const { topic, partition } = batch
  return {
    topic,
    partition,
    records: batch.messages.map((message) => toRecord(topic, partition, message)),
    highWatermark: BigInt(batch.highWatermark),
    nextOffset: nextOffset(batch)
  }
}

function toRecord(topic: string, partition: number, message: KafkaMessage): KafkaRecord {
  const { offset, key, value, timestamp, headers } = message
  return {
    topic,
    partition,
    offset: BigInt(offset),
    key,
    value,
    headers: toHeaders(headers),
    appendedAtMs: Number(timestamp)
  }
}

const noHeaders: RecordHeaders = {}

function toHeaders(headers: IHeaders | undefined): RecordHeaders {
  if (headers === undefined || isEmpty(headers)) return noHeaders
  const result: Record<string, Buffer> = Object.create(null) as Record<string, Buffer>
  for (const [name, value] of Object.entries(headers)) {
    const last = Array.isArray(value) ? value.at(-1) : value
    result[name] = Buffer.isBuffer(last) ? last : Buffer.from(last ?? '')
  }
  return result
}

function isEmpty(headers: IHeaders): boolean {
  for (const _name in headers) return false
  return true
}
