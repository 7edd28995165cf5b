// Sends the demo shop to the gateway at a steady rate. A refusal that a client must repeat (503, 429, no answer) is
// repeated with the same bytes; meanwhile nothing new is made, so a gateway in trouble is never pushed harder. An event
// of which the gateway says that it is still being stored is repeated later, beside the others.
import { backoffMs } from '@millrace/kernel'
import type { BackoffPolicy, Clock } from '@millrace/kernel'
import type { Shop } from './shop.ts'

/** Answers so far. */
export interface FeedCounts {
  readonly accepted: number
  readonly duplicate: number
  /** 4xx that must not be repeated: the broken events. */
  readonly refused: number
  /** Attempts that were answered with "later", or not at all. */
  readonly waits: number
}

/** A body whose outcome is open: to be repeated at `dueMs` of the monotonic clock. */
interface Open {
  readonly body: string
  readonly dueMs: number
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
  readonly random?: () => number
}

/** Traffic that runs; disposing it ends it, requests in flight included. */
export interface Feed extends AsyncDisposable {
  counts(): FeedCounts
}

const waitPolicy: BackoffPolicy = { baseMs: 250, capMs: 5_000, jitter: 0.3 }
const requestTimeoutMs = 15_000
/** Requests of one lane follow each other, so this is the rate at which a lane still keeps its pace. */
const ratePerLane = 25
/** Events with an open outcome at most; then no new ones are made. */
const maxOpen = 1_000

/** Starts the traffic at once. */
export function startFeed(options: FeedOptions): Feed {
  const { clock, rate, shop } = options
  const stop = new AbortController()
  const counts = { accepted: 0, duplicate: 0, refused: 0, waits: 0 }
  const lanes = Math.max(1, Math.min(64, Math.ceil(rate / ratePerLane)))
  const periodMs = (1_000 * lanes) / rate
  const open: Open[] = []

  const lane = async (index: number): Promise<void> => {
    let due = clock.monotonic() + (periodMs * index) / lanes
    for (;;) {
      await clock.sleep(Math.max(0, due - clock.monotonic()), stop.signal)
      await deliver(dueBody() ?? shop.next(clock.now()).body)
      // A lane that was held up goes on at its pace: what it missed is not made up for.
      due = Math.max(due + periodMs, clock.monotonic())
    }
  }

  const dueBody = (): string | undefined => {
    const index = open.findIndex(({ dueMs }) => dueMs <= clock.monotonic())
    return index < 0 && open.length < maxOpen ? undefined : open.splice(Math.max(0, index), 1)[0]?.body
  }

  const deliver = async (body: string): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      const answer = await send(options, body, stop.signal)
      if (answer.status === 202) return void counts.accepted++
      if (answer.status === 409) return void counts.duplicate++
      if (answer.status < 500 && answer.status !== 429) return void counts.refused++
      counts.waits++
      const waitMs = Math.max(answer.retryAfterMs, backoffMs(waitPolicy, attempt, options.random))
      if (answer.code === 'in_progress') return void open.push({ body, dueMs: clock.monotonic() + waitMs })
      await clock.sleep(waitMs, stop.signal)
    }
  }

  const running = Promise.allSettled(Array.from({ length: lanes }, (_, index) => lane(index)))
  return {
    counts: () => ({ ...counts }),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    }
  }
}

interface Answer {
  /** 599 when there was no answer. */
  readonly status: number
  readonly retryAfterMs: number
  /** Code of the problem, when there is one. */
  readonly code?: string | undefined
}

async function send(options: FeedOptions, body: string, stop: AbortSignal): Promise<Answer> {
  try {
    const response = await (options.fetch ?? fetch)(`${options.url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${options.writeKey}` },
      body,
      signal: AbortSignal.any([stop, AbortSignal.timeout(requestTimeoutMs)])
    })
    // The body is read to its end, or the connection could not be used again.
    const text = await response.text()
    const code = /"code":"(\w+)"/.exec(text)?.[1]
    const seconds = Number(response.headers.get('retry-after') ?? '0')
    return { status: response.status, retryAfterMs: Number.isFinite(seconds) ? seconds * 1_000 : 0, code }
  } catch {
    return { status: 599, retryAfterMs: 0 }
  }
}
