// Requests to the gateway: a single event to /v1/events, more of them to /v1/events/batch. Knows what this gateway
// takes: one without the batch endpoint gets single events, and one that finds a body too large gets smaller ones.
// Nothing rejects here: whatever happens to a request is a verdict about its events.
import { withSentAt } from './event.ts'
import { parseJson } from './json.ts'
import type { BatchLimits } from './queue.ts'
import { noReply, readBatch, readSingle } from './reply.ts'
import type { Verdict } from './reply.ts'
import { parseRetryAfter } from './retry.ts'
import type { Runtime } from './runtime.ts'

/** An event as the transport needs it. */
export interface Sendable {
  readonly eventId: string
  readonly text: string
  readonly bytes: number
}

export interface SendResult {
  /** One for each event, in order. */
  readonly verdicts: readonly Verdict[]
  readonly retryAfterMs: number
}

export interface Transport {
  send(events: readonly Sendable[]): Promise<SendResult>
  /** What one send may hold now. */
  limits(): BatchLimits
  /** Whether the batch endpoint is used, as far as is known. */
  takesBatches(): boolean
  /** Ends the requests that are under way. */
  abort(): void
}

export interface TransportDeps {
  readonly runtime: Runtime
  readonly url: string
  readonly writeKey: string
  readonly batch: boolean
  readonly limits: BatchLimits
  readonly requestTimeoutMs: number
}

/** Single events that are sent side by side; browsers open six connections to a host. */
const singlesAtOnce = 6
/** A gateway without the batch endpoint is asked again after this long: it may have been updated. */
const askAgainMs = 300_000

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly retryAfterMs: number
}

/** The transport to one gateway. */
export function createTransport(deps: TransportDeps): Transport {
  const { runtime, url, writeKey, requestTimeoutMs } = deps
  const open = new Set<AbortController>()
  let maxBytes = deps.limits.maxBytes
  let singlesUntil = deps.batch ? -Infinity : Infinity
  const takesBatches = (): boolean => runtime.elapsed() >= singlesUntil

  const exchange = async (path: string, body: string, signal: AbortSignal): Promise<Answer> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${writeKey}` }
    const reply = await runtime.fetch(`${url}${path}`, { method: 'POST', headers, body, signal })
    // The whole body is awaited: a reply that breaks off says nothing about the events it did not get to.
    const text = await reply.text()
    const header = (name: string): string | null => reply.headers.get(name)
    const retryAfterMs = parseRetryAfter(header('retry-after'), header('date'), runtime.now())
    return { status: reply.status, body: parseJson(text), retryAfterMs }
  }

  const post = async (path: string, body: string): Promise<Answer> => {
    const controller = new AbortController()
    open.add(controller)
    let cancel = (): void => {}
    const deadline = new Promise<Answer>((resolve) => {
      cancel = runtime.startTimer(requestTimeoutMs, () => {
        resolve(failed('timeout'))
        controller.abort()
      })
    })
    try {
      return await Promise.race([exchange(path, body, controller.signal), deadline])
    } catch {
      return failed('network')
    } finally {
      cancel()
      open.delete(controller)
    }
  }

  const textOf = (event: Sendable): string => withSentAt(event.text, new Date(runtime.now()).toISOString())

  const sendSingle = async (event: Sendable): Promise<SendResult> => {
    const { status, body, retryAfterMs } = await post('/v1/events', textOf(event))
    return { verdicts: [readSingle(status, body, event.eventId)], retryAfterMs }
  }

  const sendBatch = async (events: readonly Sendable[]): Promise<SendResult> => {
    const request = `{"events":[${events.map(textOf).join(',')}]}`
    const { status, body, retryAfterMs } = await post('/v1/events/batch', request)
    if (status === 404 || status === 405) {
      singlesUntil = runtime.elapsed() + askAgainMs
      return unsent(events)
    }
    if (status === 413) {
      maxBytes = events.reduce((sum, { bytes }) => sum + bytes, 0) / 2
      return unsent(events)
    }
    const ids = events.map(({ eventId }) => eventId)
    return { verdicts: readBatch(status, body, ids), retryAfterMs }
  }

  return {
    async send(events) {
      if (events.length > 1 && takesBatches()) return await sendBatch(events)
      const results = await Promise.all(events.map(sendSingle))
      return {
        verdicts: results.flatMap(({ verdicts }) => verdicts),
        retryAfterMs: Math.max(0, ...results.map(({ retryAfterMs }) => retryAfterMs))
      }
    },
    limits: () => ({ maxEvents: takesBatches() ? deps.limits.maxEvents : singlesAtOnce, maxBytes }),
    takesBatches,
    abort: () => open.forEach((controller) => controller.abort())
  }
}

function failed(code: 'network' | 'timeout'): Answer {
  return { status: noReply, body: { code }, retryAfterMs: 0 }
}

function unsent(events: readonly Sendable[]): SendResult {
  return { verdicts: events.map(() => ({ kind: 'unsent' })), retryAfterMs: 0 }
}
