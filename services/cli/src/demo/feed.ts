// Sends the demo shop to the gateway at a steady rate, as an application does: through the client, which batches,
// repeats and recognises what was stored before. Only the broken events go around it, since it would not make them.
import { createClient } from '@millrace/client'
import type { Client, ClientOptions } from '@millrace/client'
import type { Clock } from '@millrace/kernel'
import type { DemoEvent, Shop } from './shop.ts'

/** Outcomes so far. */
export interface FeedCounts {
  readonly accepted: number
  readonly duplicate: number
  /** Events that must not be repeated: the broken ones. */
  readonly refused: number
}

export interface FeedOptions {
  /** Base URL of the gateway. */
  readonly url: string
  readonly writeKey: string
  /** Events per second. */
  readonly rate: number
  readonly shop: Shop
  readonly clock: Clock
  readonly fetch?: typeof fetch
  /** Network, clock and randomness of the client, for tests. */
  readonly runtime?: ClientOptions['runtime']
}

/** Traffic that runs; disposing it ends it and gives up what is not stored by then. */
export interface Feed extends AsyncDisposable {
  counts(): FeedCounts
}

/** Events without an outcome at most; then no new ones are made, so a gateway in trouble is never pushed harder. */
const maxOpen = 1_000
const requestTimeoutMs = 15_000
/** How long the end waits for the last outcomes. */
const closeMs = 1_000

/** Starts the traffic at once. */
export function startFeed(options: FeedOptions): Feed {
  const { clock, rate, shop, url, writeKey } = options
  const stop = new AbortController()
  const counts = { accepted: 0, duplicate: 0, refused: 0 }
  const client = createClient({
    url,
    writeKey,
    retries: Infinity,
    ...(options.runtime === undefined ? {} : { runtime: options.runtime })
  })

  const deliver = (event: DemoEvent): void => {
    track(client, event).then(
      ({ status }) => counts[status]++,
      () => counts.refused++
    )
  }
  const deliverBad = async (body: string): Promise<void> => {
    const status = await post(options, body, stop.signal)
    if (status >= 400 && status < 500) counts.refused++
  }
  const run = async (): Promise<void> => {
    for (let dueMs = clock.monotonic(); ;) {
      await clock.sleep(Math.max(0, dueMs - clock.monotonic()), stop.signal)
      if (client.pending < maxOpen) {
        const { event, body } = shop.next(clock.now())
        if (event === undefined) void deliverBad(body)
        else deliver(event)
      }
      // What a pause of this process missed is not made up for.
      dueMs = Math.max(dueMs + 1_000 / rate, clock.monotonic() - 1_000)
    }
  }
  const running = run().catch(() => {})
  return {
    counts: () => ({ ...counts }),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
      await client.close({ timeoutMs: closeMs })
    }
  }
}

function track(client: Client, { eventType, properties, ...options }: DemoEvent): ReturnType<Client['track']> {
  const { userId } = options
  if (eventType === 'identify' && userId !== undefined) return client.identify(userId, properties, options)
  return client.track(eventType, properties, options)
}

/** The status of the answer; 599 without one. */
async function post(options: FeedOptions, body: string, stop: AbortSignal): Promise<number> {
  try {
    const response = await (options.fetch ?? fetch)(`${options.url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${options.writeKey}` },
      body,
      signal: AbortSignal.any([stop, AbortSignal.timeout(requestTimeoutMs)])
    })
    // The body is read to its end, or the connection could not be used again.
    await response.arrayBuffer()
    return response.status
  } catch {
    return 599
  }
}
