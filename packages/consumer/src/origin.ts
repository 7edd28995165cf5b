// Where a record was first stored. A letter that comes back through the redrive topic keeps the coordinates, append
// time and headers of the record that failed, so its effect lands where the first one would have.
import type { KafkaRecord } from '@millrace/kafka'
import type { ConsumedRecord, Decoded } from './definition.ts'
import { parseLetter } from './dead-letter.ts'

/** The record as `decode` sees it; undefined for a record of the redrive topic that is not a letter. */
export function toConsumed(record: KafkaRecord, redrive: string | undefined): ConsumedRecord | undefined {
  if (record.topic !== redrive) return { ...record, redriven: false }
  const letter = parseLetter(record)
  if (letter === undefined) return undefined
  const { key, value } = record
  return { ...letter.origin, key, value, headers: letter.headers, redriven: true }
}

/** The verdict of `decode` on a record. A throw of it is a bug that the record brings out: dead, reason `bug`. */
export function decodeRecord<Item>(
  record: KafkaRecord,
  redrive: string | undefined,
  decode: (record: ConsumedRecord) => Decoded<Item>
): Decoded<Item> {
  const consumed = toConsumed(record, redrive)
  if (consumed === undefined) return { kind: 'skip', reason: 'invalid' }
  try {
    return decode(consumed)
  } catch (error) {
    return { kind: 'dead', reason: 'bug', cause: error }
  }
}
