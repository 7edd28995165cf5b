// The events that are not settled yet, within bounds. An entry is in one place: fresh (never sent, waits for a batch to
// fill up), waiting (not before its time), or out (being sent; also: not added yet). It leaves once, when it is settled.
import type { Receipt, TrackError } from './track-error.ts'

/** An event on its way. */
export interface Entry {
  readonly eventId: string
  /** JSON without `sentAt`. */
  readonly text: string
  /** Bytes on the wire. */
  readonly bytes: number
  /** Resolves when the event is stored; a rejection that nobody awaits is no unhandled one. */
  readonly done: Promise<Receipt>
  settle(outcome: Receipt | TrackError): void
  /** Sends that failed. */
  failures: number
  /** Place in the order of tracking. */
  order: number
  /** Not sent before this time (elapsed milliseconds); of a fresh entry: sent by then, or earlier with others. */
  dueAt: number
  place: 'out' | 'fresh' | 'waiting'
  /** Handed to the browser as a beacon; what became of that is asked for after this time. */
  beaconedUntil: number
}

/** Bounds of one request. */
export interface BatchLimits {
  readonly maxEvents: number
  readonly maxBytes: number
}

export interface Queue {
  /** False when the queue is full. */
  add(entry: Entry, dueAt: number): boolean
  /** Puts an entry that was out, or fresh, among the waiting. */
  hold(entry: Entry, dueAt: number): void
  /** Takes out what may be sent now, oldest first; at least one if there is any, however large. */
  take(now: number, limits: BatchLimits): Entry[]
  /** Whether there is something to send now: a full batch, one whose time has come, or one asked for up to `order`. */
  isDue(now: number, limits: BatchLimits, order: number): boolean
  /** The next time at which something may become due; undefined when nothing will by itself. */
  nextDueAt(): number | undefined
  /** Forgets a settled entry; false when it was settled before. */
  remove(entry: Entry): boolean
  /** Everything unsettled, oldest first. */
  entries(): Entry[]
  /** The order of the newest entry. */
  newest(): number
  readonly size: number
}

export interface QueueBounds {
  readonly maxEvents: number
  readonly maxBytes: number
}

/** An empty queue. */
export function createQueue(bounds: QueueBounds): Queue {
  const all = new Set<Entry>()
  let fresh: Entry[] = []
  let waiting: Entry[] = []
  let bytes = 0
  let freshBytes = 0
  let newest = 0

  /** Takes an entry out of its place. */
  const takeOut = (entry: Entry): void => {
    if (entry.place === 'waiting') waiting = waiting.filter((other) => other !== entry)
    if (entry.place === 'fresh') {
      fresh = fresh.filter((other) => other !== entry)
      freshBytes -= entry.bytes
    }
    entry.place = 'out'
  }

  return {
    add(entry, dueAt) {
      if (all.size >= bounds.maxEvents || bytes + entry.bytes > bounds.maxBytes) return false
      entry.order = ++newest
      entry.dueAt = dueAt
      entry.place = 'fresh'
      all.add(entry)
      fresh.push(entry)
      bytes += entry.bytes
      freshBytes += entry.bytes
      return true
    },
    hold(entry, dueAt) {
      if (!all.has(entry)) return
      takeOut(entry)
      entry.place = 'waiting'
      entry.dueAt = dueAt
      waiting.push(entry)
    },
    take(now, limits) {
      const batch: Entry[] = []
      let size = 0
      const fits = (entry: Entry): boolean => {
        if (batch.length > 0 && (batch.length >= limits.maxEvents || size + entry.bytes > limits.maxBytes)) return false
        batch.push(entry)
        size += entry.bytes
        if (entry.place === 'fresh') freshBytes -= entry.bytes
        entry.place = 'out'
        return true
      }
      waiting.sort((a, b) => a.order - b.order)
      waiting = waiting.filter((entry) => entry.dueAt > now || !fits(entry))
      const end = fresh.findIndex((entry) => !fits(entry))
      fresh.splice(0, end < 0 ? fresh.length : end)
      return batch
    },
    isDue(now, limits, order) {
      const [first] = fresh
      if (waiting.some((entry) => entry.dueAt <= now)) return true
      if (first === undefined) return false
      const full = fresh.length >= limits.maxEvents || freshBytes >= limits.maxBytes
      return full || first.dueAt <= now || first.order <= order
    },
    nextDueAt() {
      const first = fresh[0]?.dueAt ?? Infinity
      const at = waiting.reduce((least, entry) => Math.min(least, entry.dueAt), first)
      return at === Infinity ? undefined : at
    },
    remove(entry) {
      if (!all.delete(entry)) return false
      bytes -= entry.bytes
      takeOut(entry)
      return true
    },
    entries: () => [...all],
    newest: () => newest,
    get size() {
      return all.size
    }
  }
}
