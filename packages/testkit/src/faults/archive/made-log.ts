// A log that nobody has to keep: every record is a function of its partition and offset, so an archive of it can be
// checked against what it must hold. One record in eight is no event, some have no key or no value.
import { createHash } from 'node:crypto'
import type { KafkaRecord } from '@millrace/kafka'

/** What the archiver takes of a record. */
export type MadeRecord = Pick<KafkaRecord, 'offset' | 'key' | 'value' | 'headers' | 'appendedAtMs'>

const firstMs = Date.UTC(2026, 0, 1)

/** The record at `offset` of `partition`. */
export function madeRecord(partition: number, offset: bigint): MadeRecord {
  const noise = createHash('sha256').update(`${partition}:${offset}`).digest()
  const kind = (noise[0] ?? 0) % 8
  const appendedAtMs = firstMs + Number(offset)
  const event = {
    eventId: `e-${partition}-${offset}`,
    eventType: 'view',
    receivedAt: new Date(appendedAtMs).toISOString(),
    properties: { text: noise.toString('hex', 0, 1 + ((noise[1] ?? 0) % 32)) }
  }
  return {
    offset,
    key: kind === 1 ? null : Buffer.from(`k-${offset}`),
    value: kind === 0 ? noise : kind === 2 && offset % 3n === 0n ? null : Buffer.from(JSON.stringify(event)),
    headers: kind === 3 ? { trace: noise.subarray(0, 4) } : {},
    appendedAtMs
  }
}

/** The records `[from, to)` of `partition`. */
export function madeRecords(partition: number, from: bigint, to: bigint): MadeRecord[] {
  return Array.from({ length: Number(to - from) }, (_, index) => madeRecord(partition, from + BigInt(index)))
}
