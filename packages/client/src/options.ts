// What an application may choose, with the defaults. Bounds are those of the gateway; a wrong option is a bug of the
// caller and throws at once.
import type { EventContext } from './event.ts'
import { createSystemRuntime } from './runtime.ts'
import type { Runtime } from './runtime.ts'
import type { ClientStorage } from './storage.ts'
import type { TrackError } from './track-error.ts'

export interface ClientOptions {
  /** Address of the gateway, such as `https://events.example.com`. */
  readonly url: string
  /** A write key (`mr_w_...`). Secret keys are refused in a browser. */
  readonly writeKey: string
  /**
   * Whether the client speaks for one person: it then adds an anonymous id, the user of `identify`, and a session to
   * each event. Default: in a browser. A server speaks for many, so there each call names its person.
   */
  readonly remember?: boolean
  /** Keeps unsettled events and the ids of the person between runs, such as `localStorage`. Default: memory only. */
  readonly storage?: ClientStorage
  /** Start of the storage keys; the default holds the public part of the write key, so that projects do not mix. */
  readonly storageKey?: string
  /** Context of every event. */
  readonly context?: EventContext
  /** An event waits this long for others to share its request. Default 500 ms. */
  readonly flushAfterMs?: number
  /** Events per request, 1 to 1,000. Default 100. */
  readonly maxBatchEvents?: number
  /** Bytes per request, up to 4 MiB. Default 256 KiB. */
  readonly maxBatchBytes?: number
  /** Bytes of one event; larger ones are refused. Default 256 KiB, the limit of the gateway. */
  readonly maxEventBytes?: number
  /** Unsettled events in memory. Default 10,000. */
  readonly maxQueueEvents?: number
  /** Bytes of unsettled events in memory. Default 8 MiB. */
  readonly maxQueueBytes?: number
  /** Times an event is sent again after 5xx, 429 or no answer. Default 3; `Infinity` waits for the gateway to be back. */
  readonly retries?: number
  /** A request without an answer is given up after this. Default 15 s. */
  readonly requestTimeoutMs?: number
  /** `false`: each event has a request of its own. Default true; a gateway without batches is recognised. */
  readonly batch?: boolean
  /** Told of each event that is given up, once, with the reason. */
  readonly onDrop?: (error: TrackError) => void
  /** Network, clock and randomness, for tests. */
  readonly runtime?: Partial<Runtime>
}

/** The numbers among the options: default, least, most. */
const numbers = {
  flushAfterMs: [500, 0, 3_600_000],
  maxBatchEvents: [100, 1, 1_000],
  maxBatchBytes: [262_144, 1, 4_194_304],
  maxEventBytes: [262_144, 1, 4_194_304],
  maxQueueEvents: [10_000, 1, Infinity],
  maxQueueBytes: [8_388_608, 1, Infinity],
  retries: [3, 0, Infinity],
  requestTimeoutMs: [15_000, 1, 3_600_000]
} as const

/** Options with every default filled in. */
export interface Settings extends Readonly<Record<keyof typeof numbers, number>> {
  readonly url: string
  readonly writeKey: string
  readonly remember: boolean
  readonly storage: ClientStorage | undefined
  /** Keys of what belongs to the project (events) and to the person (ids). */
  readonly eventsKey: string
  readonly identityKey: string
  readonly context: EventContext
  readonly batch: boolean
  readonly onDrop: (error: TrackError) => void
  readonly runtime: Runtime
}

/** The settings of `options`. TypeError or RangeError, naming the option, when one is wrong. */
export function resolveOptions(options: ClientOptions): Settings {
  const { url, writeKey, storageKey, storage, context = {}, batch = true, onDrop = () => {} } = options
  const runtime: Runtime = { ...createSystemRuntime(), ...options.runtime }
  const inPage = runtime.page !== undefined
  if (typeof url !== 'string' || !/^https?:\/\/[^/]/.test(url)) throw new TypeError('url: an http(s) address')
  if (typeof writeKey !== 'string' || writeKey === '') throw new TypeError('writeKey: a text')
  if (inPage && writeKey.startsWith('mr_s_')) throw new TypeError('writeKey: secret keys are not for browsers')
  return {
    ...resolveNumbers(options),
    url: url.replace(/\/+$/, ''),
    writeKey,
    remember: options.remember ?? inPage,
    storage,
    eventsKey: storageKey ?? `millrace.${writeKey.split('_')[2]?.slice(0, 8) ?? 'events'}`,
    identityKey: `${storageKey ?? 'millrace'}.identity`,
    context,
    batch,
    onDrop,
    runtime
  }
}

function resolveNumbers(options: ClientOptions): Record<keyof typeof numbers, number> {
  const resolved = Object.entries(numbers).map(([name, [fallback, least, most]]) => {
    // The names are those of the table.
    const value = options[name as keyof typeof numbers] ?? fallback
    if (!(value >= least && value <= most)) throw new RangeError(`${name}: ${least} to ${most}`)
    return [name, value]
  })
  // One entry for each name of the table.
  return Object.fromEntries(resolved) as Record<keyof typeof numbers, number>
}
