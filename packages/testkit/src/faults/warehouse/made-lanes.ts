// Lanes of a log that nobody has to keep: every record is a function of its lane and offset, so what must be in the
// warehouse follows from how far each lane came. One record in ten is a copy of an earlier one, some are no events. Pure.
import type { RawRecord } from '@millrace/contracts'
import { makeEvent, toRecord } from './world.ts'
import type { MadeEvent } from './world.ts'

const firstMs = Date.UTC(2026, 6, 1)

/** The record at `offset` of `lane` of so many `lanes`. */
export function madeRaw(topic: string, lane: number, lanes: number, offset: number): RawRecord {
  const event = eventAt(lane, lanes, offset)
  const value = event === undefined ? Buffer.from('no event') : toRecord(event, lanes).value
  return { topic, partition: lane, offset: BigInt(offset), appendedAtMs: firstMs + offset, value }
}

/** The events of the records before `ends`, one end for each lane, each once. */
export function eventsBefore(ends: readonly number[]): readonly MadeEvent[] {
  const events = new Map<string, MadeEvent>()
  for (const [lane, end] of ends.entries()) {
    for (let offset = 0; offset < end; offset++) {
      const event = eventAt(lane, ends.length, offset)
      if (event !== undefined) events.set(event.eventId, event)
    }
  }
  return [...events.values()]
}

function eventAt(lane: number, lanes: number, offset: number): MadeEvent | undefined {
  if (offset % 17 === 16) return undefined
  const original = offset % 10 === 9 ? Math.max(0, offset - 199) : offset
  return makeEvent(original * lanes + lane)
}
