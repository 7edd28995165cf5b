// What a page sends when it may be about to end: everything unsettled, through the browser's own queue. A beacon has no
// headers and no answer. So the key stands in the body, which unlike an address is in no log; and the events stay
// queued: if the page lives on, or the next one has the storage, they are sent again under the same ids.
import { withSentAt } from './event.ts'

/** Browsers refuse more than 64 KiB; this leaves room for what they count besides the body. */
export const maxBeaconBytes = 60_000

/** An event as a beacon needs it. */
interface Sendable {
  readonly text: string
  readonly bytes: number
}

/**
 * Splits events into beacons of at most `maxBytes` and `maxEvents` each, in order. An event that alone is larger is
 * left out.
 */
export function splitBeacons<E extends Sendable>(events: readonly E[], maxBytes: number, maxEvents: number): E[][] {
  const beacons: E[][] = []
  let room = 0
  for (const event of events) {
    if (event.bytes > maxBytes) continue
    const last = beacons.at(-1)
    if (last === undefined || event.bytes > room || last.length >= maxEvents) {
      beacons.push([event])
      room = maxBytes - event.bytes
    } else {
      last.push(event)
      room -= event.bytes
    }
  }
  return beacons
}

/** The body of a beacon: a batch with its key, sent as text/plain so that the browser asks no permission first. */
export function toBeaconBody(writeKey: string, events: readonly Sendable[], sentAt: string): string {
  const texts = events.map(({ text }) => withSentAt(text, sentAt))
  return `{"writeKey":${JSON.stringify(writeKey)},"events":[${texts.join(',')}]}`
}
