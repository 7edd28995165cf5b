// Where events wait until they are settled: queue, sending, storage and beacons as one thing. Every event that enters
// settles exactly once.
import { maxBeaconBytes, splitBeacons, toBeaconBody } from './beacon.ts'
import { createDelivery } from './delivery.ts'
import { sentAtBytes } from './event.ts'
import { byteLength } from './json.ts'
import type { Settings } from './options.ts'
import { createQueue } from './queue.ts'
import type { Entry } from './queue.ts'
import { createSavedQueue } from './saved-queue.ts'
import type { SafeStorage } from './storage.ts'
import { TrackError } from './track-error.ts'
import type { FailureReason, Receipt } from './track-error.ts'
import { createTransport } from './transport.ts'

export interface Outbox {
  /** Takes an event; `text` is its JSON, undefined when it has none. Settles when its fate is known. */
  add(eventId: string, text: string | undefined): Promise<Receipt>
  /** Sends at once; resolves when everything added so far has settled. */
  flush(): Promise<void>
  /** Flushes for `timeoutMs` at most and settles the rest. */
  close(timeoutMs: number): Promise<void>
  readonly pending: number
}

/** Changes of the queue reach storage within this time. */
const saveAfterMs = 100
/** What became of a beacon is asked for after this time, if the page still runs. */
const askBeaconAfterMs = 5_000

/** An outbox that starts with what storage holds; `id` names its list there. */
export function createOutbox(settings: Settings, storage: SafeStorage, id: string): Outbox {
  const { runtime, eventsKey, maxQueueEvents, maxQueueBytes, maxBatchEvents, maxBatchBytes } = settings
  const { page } = runtime
  const hasStorage = settings.storage !== undefined
  const queue = createQueue({ maxEvents: maxQueueEvents, maxBytes: maxQueueBytes })
  const transport = createTransport({ ...settings, limits: { maxEvents: maxBatchEvents, maxBytes: maxBatchBytes } })
  const savedQueue = createSavedQueue({ storage, key: eventsKey, id })
  let closing: Promise<void> | undefined
  let cancelSave: (() => void) | undefined

  const report = (error: TrackError): void => {
    // In a turn of its own: a callback that throws or tracks must not disturb the sending.
    void Promise.resolve().then(() => settings.onDrop(error))
  }

  const save = (): number => {
    cancelSave?.()
    cancelSave = undefined
    return hasStorage ? savedQueue.save(queue.entries().map(({ text }) => text)) : 0
  }
  const saveSoon = (): void => {
    if (hasStorage) cancelSave ??= runtime.startTimer(saveAfterMs, save)
  }

  const settle = (entry: Entry, outcome: Receipt | TrackError): void => {
    if (!queue.remove(entry)) return
    entry.settle(outcome)
    if (outcome instanceof TrackError && outcome.reason !== 'kept') report(outcome)
    saveSoon()
  }
  const delivery = createDelivery({ runtime, queue, transport, retries: settings.retries, settle })

  const refuse = (reason: FailureReason, eventId: string): Promise<Receipt> => {
    const error = new TrackError(reason, { eventId })
    report(error)
    return handled(Promise.reject(error))
  }

  const add = (eventId: string, text: string | undefined): Promise<Receipt> => {
    if (closing !== undefined) return refuse('closed', eventId)
    if (text === undefined) return refuse('invalid', eventId)
    const bytes = byteLength(text) + sentAtBytes
    if (bytes > settings.maxEventBytes) return refuse('too_large', eventId)
    const entry = createEntry(eventId, text, bytes)
    if (!queue.add(entry, runtime.elapsed() + settings.flushAfterMs)) return refuse('queue_full', eventId)
    saveSoon()
    delivery.wake()
    return entry.done
  }

  const sendBeacons = (): void => {
    save()
    const now = runtime.elapsed()
    if (page === undefined || !transport.takesBatches() || !page.isOnline()) return
    const open = queue.entries().filter(({ beaconedUntil }) => beaconedUntil <= now)
    for (const part of splitBeacons(open, maxBeaconBytes, maxBatchEvents)) {
      const body = toBeaconBody(settings.writeKey, part, new Date(runtime.now()).toISOString())
      if (!page.sendBeacon(`${settings.url}/v1/events/batch`, body)) break
      for (const entry of part) {
        entry.beaconedUntil = now + askBeaconAfterMs
        if (entry.place !== 'out') queue.hold(entry, Math.max(entry.dueAt, entry.beaconedUntil))
      }
    }
    delivery.wake()
  }
  const unwatch = page?.watch({ hidden: sendBeacons, online: delivery.online })

  const flush = async (): Promise<void> => {
    delivery.hurry()
    await Promise.allSettled(queue.entries().map(({ done }) => done))
  }

  const end = async (timeoutMs: number): Promise<void> => {
    let cancel = (): void => {}
    const late = new Promise<void>((resolve) => {
      cancel = runtime.startTimer(timeoutMs, resolve)
    })
    await Promise.race([flush(), late])
    cancel()
    delivery.stop()
    unwatch?.()
    const kept = save()
    queue.entries().forEach((entry, index) => {
      settle(entry, new TrackError(index < kept ? 'kept' : 'closed', { eventId: entry.eventId }))
    })
    // The saved list is what the next client starts from.
    cancelSave?.()
  }

  if (hasStorage) {
    const { events, corrupt } = savedQueue.recover()
    for (const { eventId, text } of events) void add(eventId, text)
    for (let count = 0; count < corrupt; count++) report(new TrackError('corrupt_storage'))
  }
  return {
    add,
    flush,
    close: (timeoutMs) => (closing ??= end(timeoutMs)),
    get pending() {
      return queue.size
    }
  }
}

function createEntry(eventId: string, text: string, bytes: number): Entry {
  let settle = (_outcome: Receipt | TrackError): void => {}
  const done = new Promise<Receipt>((resolve, reject) => {
    settle = (outcome) => (outcome instanceof TrackError ? reject(outcome) : resolve(outcome))
  })
  const state = { failures: 0, order: 0, dueAt: 0, place: 'out' as const, beaconedUntil: -Infinity }
  return { eventId, text, bytes, done: handled(done), settle, ...state }
}

/** The same promise; if nobody awaits it, its rejection is not an unhandled one. */
function handled(promise: Promise<Receipt>): Promise<Receipt> {
  promise.catch(() => {})
  return promise
}
