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

/** Options with every default filled in. */
export interface Settings {
  readonly url: string
  readonly writeKey: string
  readonly remember: boolean
  readonly storage: ClientStorage | undefined
  /** Keys of what belongs to the project (events) and to the person (ids). */
  readonly eventsKey: string
  readonly identityKey: string
  readonly context: EventContext
  readonly flushAfterMs: number
  readonly maxBatchEvents: number
  readonly maxBatchBytes: number
  readonly maxEventBytes: number
  readonly maxQueueEvents: number
  readonly maxQueueBytes: number
  readonly retries: number
  readonly requestTimeoutMs: number
  readonly batch: boolean
  readonly onDrop: (error: TrackError) => void
  readonly runtime: Runtime
}

const kib = 1_024
const hourMs = 3_600_000

/** The settings of `options`. TypeError or RangeError when an option is wrong. */
export function resolveOptions(options: ClientOptions): Settings {
  const { url, writeKey, storageKey, storage, context = {}, batch = true, onDrop = () => {} } = options
  const runtime: Runtime = { ...createSystemRuntime(), ...options.runtime }
  if (typeof url !== 'string' || !/^https?:\/\/[^/]/.test(url)) throw new TypeError('url: http or https address')
  if (typeof writeKey !== 'string' || writeKey === '') throw new TypeError('writeKey: a key of the project')
  const inPage = runtime.page !== undefined
  if (inPage && writeKey.startsWith('mr_s_')) throw new TypeError('writeKey: a secret key must not be in a browser')
  const within = (name: NumberOption, fallback: number, max: number, min = 1): number => {
    const value = options[name] ?? fallback
    if (!(value >= min && value <= max)) throw new RangeError(`${name}: ${min} to ${max}`)
    return value
  }
  return {
    url: url.replace(/\/+$/, ''),
    writeKey,
    remember: options.remember ?? inPage,
    storage,
    eventsKey: storageKey ?? `millrace.${writeKey.split('_')[2]?.slice(0, 8) ?? 'events'}`,
    identityKey: `${storageKey ?? 'millrace'}.identity`,
    context,
    flushAfterMs: within('flushAfterMs', 500, hourMs, 0),
    maxBatchEvents: within('maxBatchEvents', 100, 1_000),
    maxBatchBytes: within('maxBatchBytes', 256 * kib, 4_096 * kib),
    maxEventBytes: within('maxEventBytes', 256 * kib, 4_096 * kib),
    maxQueueEvents: within('maxQueueEvents', 10_000, Infinity),
    maxQueueBytes: within('maxQueueBytes', 8_192 * kib, Infinity),
    retries: within('retries', 3, Infinity, 0),
    requestTimeoutMs: within('requestTimeoutMs', 15_000, hourMs),
    batch,
    onDrop,
    runtime
  }
}

type NumberOption =
  | 'flushAfterMs'
  | 'maxBatchEvents'
  | 'maxBatchBytes'
  | 'maxEventBytes'
  | 'maxQueueEvents'
  | 'maxQueueBytes'
  | 'retries'
  | 'requestTimeoutMs'
