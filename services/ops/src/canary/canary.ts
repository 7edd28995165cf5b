// The canary: an event that goes the way of all events, again and again, and the time that it takes to each stage. What it
// finds missing, customers miss, too.
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { errorFields } from '@millrace/service'
import type { canaryMetrics } from '../metrics.ts'

/** Where a canary event is seen, in the order in which it comes there. */
export const canaryStages = ['accepted', 'live', 'sql'] as const
export type CanaryStage = (typeof canaryStages)[number]

/** One event on its way. Each stage resolves when it arrived there, and rejects when it never will. */
export type CanaryFlight = Readonly<Record<CanaryStage, Promise<void>>>

export interface CanaryDeps {
  /** Sends one event; `signal` ends the waiting of all stages. Rejects when it could not be sent at all. */
  readonly send: (eventId: string, signal: AbortSignal) => Promise<CanaryFlight>
  readonly newId: () => string
  readonly metrics: BoundMetrics<typeof canaryMetrics>
  readonly log: Pick<Logger, 'warn'>
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly everyMs: number
  readonly timeoutMs: number
}

/** Sends an event every `everyMs`, one at a time, until the signal aborts. Never rejects. */
export async function keepSendingCanaries(deps: CanaryDeps): Promise<void> {
  const { clock, signal, everyMs, metrics } = deps
  const arrivedAtMs = new Map<CanaryStage, number>(canaryStages.map((stage) => [stage, clock.monotonic()]))
  const tellAges = (): void => {
    for (const [stage, atMs] of arrivedAtMs) metrics.age.set((clock.monotonic() - atMs) / 1_000, { stage })
  }
  using _ages = repeat(clock, Math.min(everyMs, 5_000), tellAges)
  while (!signal.aborted) {
    const startedMs = clock.monotonic()
    const outcome = await sendOne(deps, (stage) => {
      arrivedAtMs.set(stage, clock.monotonic())
      metrics.latency.observe((clock.monotonic() - startedMs) / 1_000, { stage })
    })
    if (!signal.aborted) metrics.events.add(1, { outcome })
    tellAges()
    await clock.sleep(Math.max(0, everyMs - (clock.monotonic() - startedMs)), signal).catch(() => {})
  }
}

async function sendOne(
  { send, newId, clock, signal, timeoutMs, log }: CanaryDeps,
  onArrival: (stage: CanaryStage) => void
): Promise<'arrived' | 'missed' | 'refused'> {
  const eventId = newId()
  const stop = new AbortController()
  using _timeout = clock.timer(timeoutMs, () => stop.abort(new Error(`not there after ${timeoutMs} ms`)))
  const both = AbortSignal.any([signal, stop.signal])
  try {
    const flight = await send(eventId, both)
    const missed = await Promise.all(
      canaryStages.map(async (stage) => {
        try {
          await unlessAborted(flight[stage], both)
          onArrival(stage)
          return undefined
        } catch (error) {
          if (!signal.aborted) log.warn({ ...errorFields(error), stage, eventId }, 'a canary event did not arrive')
          return stage
        }
      })
    )
    if (missed.includes('accepted')) return 'refused'
    return missed.every((stage) => stage === undefined) ? 'arrived' : 'missed'
  } catch (error) {
    if (!signal.aborted) log.warn({ ...errorFields(error), eventId }, 'a canary event could not be sent')
    return 'refused'
  } finally {
    stop.abort()
  }
}

/** `promise`, or the reason of `signal` when that comes first. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  aborted.promise.catch(() => undefined)
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function repeat(clock: Clock, everyMs: number, task: () => void): Disposable {
  let timer: Disposable | undefined
  const next = (): void => {
    timer = clock.timer(everyMs, () => {
      task()
      next()
    })
  }
  next()
  return { [Symbol.dispose]: () => timer?.[Symbol.dispose]() }
}
