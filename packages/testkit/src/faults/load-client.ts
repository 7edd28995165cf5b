// Load as a careful client makes it: every event is sent until the answer is final, with the same id and bytes, and
// every answer is in the ledger before anything depends on it.
import { backoffMs } from '@millrace/kernel'
import type { BackoffPolicy, Clock } from '@millrace/kernel'
import type { EventFactory } from '../event-factory.ts'
import { createRandom } from '../random.ts'
import type { Random } from '../random.ts'
import type { Answer, HttpSender } from './http-sender.ts'
import { bytesHash } from './ledger.ts'
import type { Ledger, LedgerEntry, SendKind } from './ledger.ts'

/** `open`: events start at a fixed rate whatever happens. `closed`: so many senders, each waiting for its answer. */
export type Pace =
  | { readonly kind: 'open'; readonly eventsPerSecond: number; readonly maxInFlight: number }
  | { readonly kind: 'closed'; readonly senders: number }

export interface LoadOptions {
  readonly sender: Pick<HttpSender, 'post'>
  readonly ledger: Pick<Ledger, 'append'>
  readonly factory: EventFactory
  readonly clock: Clock
  readonly seed: number | string
  readonly pace: Pace
  /** Distinct good events to send; without it the load goes on until stop(). */
  readonly events?: number
  /** Share of events that are sent a second time after their acknowledgement (0 to 1). */
  readonly repeatShare?: number
  /** Share of additional requests that must be refused (0 to 1). */
  readonly badShare?: number
  /** An event without a final answer after this long is given up as unresolved. */
  readonly giveUpAfterMs?: number
  /** Cap on Retry-After, so that a test does not wait for politeness. */
  readonly maxRetryAfterMs?: number
}

/** What was sent and how it ended; live while the load runs. */
export interface LoadCounts {
  readonly attempts: number
  readonly accepted: number
  readonly duplicates: number
  readonly refused: number
  readonly unresolved: number
  /** Attempts after which nobody knows whether the event is stored. */
  readonly unknown: number
}

export interface Load {
  counts(): LoadCounts
  /** Starts no new event; resolves when all answers are final. */
  stop(): Promise<void>
  /** Resolves when `events` events and their repeats have their final answers. Rejects when the ledger fails. */
  readonly done: Promise<void>
}

const backoff: BackoffPolicy = { baseMs: 100, capMs: 2_000, jitter: 0.5 }

/** Whether the answer ends the sending: stored, or never will be. */
export function isFinal({ end, status }: Pick<Answer, 'end' | 'status'>): boolean {
  return end === 'answered' && status !== 429 && status < 500
}

/** Whether an attempt leaves it open if the event is stored. */
export function isUnknown({ end, status, code }: Pick<LedgerEntry, 'end' | 'status' | 'code'>): boolean {
  return end !== 'answered' || (status >= 500 && code !== 'unavailable' && code !== 'in_progress')
}

/** Starts sending; see LoadOptions. */
export function startLoad(options: LoadOptions): Load {
  const { clock, factory, pace } = options
  const random = createRandom(`load-${options.seed}`)
  const counts = { attempts: 0, accepted: 0, duplicates: 0, refused: 0, unresolved: 0, unknown: 0 }
  let stopped = false
  let started = 0
  const mayStart = (): boolean => !stopped && started < (options.events ?? Infinity)

  const send = async (kind: SendKind, eventId: string, body: string | Uint8Array): Promise<boolean> => {
    const deadline = clock.monotonic() + (options.giveUpAfterMs ?? 120_000)
    for (let attempt = 1; ; attempt++) {
      const sentMs = clock.monotonic()
      const sentNs = process.hrtime.bigint().toString()
      const answer = await options.sender.post(body)
      const tookMs = Math.round(clock.monotonic() - sentMs)
      const { end, status, code } = answer
      await options.ledger.append({
        eventId,
        kind,
        attempt,
        sentNs,
        tookMs,
        end,
        status,
        code,
        bodyHash: bytesHash(body)
      })
      counts.attempts++
      if (isUnknown(answer)) counts.unknown++
      if (isFinal(answer)) {
        if (status === 202) counts.accepted++
        else if (status === 409) counts.duplicates++
        else counts.refused++
        return status === 202 || status === 409
      }
      if (clock.monotonic() >= deadline) {
        counts.unresolved++
        return false
      }
      const asked = answer.retryAfterMs ?? backoffMs(backoff, attempt, random)
      await clock.sleep(Math.min(asked, options.maxRetryAfterMs ?? 2_000))
    }
  }

  const sendOne = async (): Promise<void> => {
    started++
    const choices = choose(random, options)
    const event = factory.event()
    const body = JSON.stringify(event)
    if (choices.bad) {
      const bad = factory.bad()
      await send('bad', bad.eventId, bad.body)
    }
    if ((await send('event', event.eventId, body)) && choices.repeat) await send('repeat', event.eventId, body)
  }

  const done = pace.kind === 'open' ? runOpen(pace, sendOne, mayStart, clock) : runClosed(pace, sendOne, mayStart)
  // The caller sees a failure when it awaits `done` or `stop`; until then it is not unhandled.
  done.catch(() => {})
  return {
    counts: () => ({ ...counts }),
    done,
    stop: () => {
      stopped = true
      return done
    }
  }
}

function choose(random: Random, options: LoadOptions): { readonly repeat: boolean; readonly bad: boolean } {
  return { repeat: random.chance(options.repeatShare ?? 0), bad: random.chance(options.badShare ?? 0) }
}

async function runClosed(
  { senders }: Extract<Pace, { kind: 'closed' }>,
  sendOne: () => Promise<void>,
  mayStart: () => boolean
): Promise<void> {
  const one = async (): Promise<void> => {
    while (mayStart()) await sendOne()
  }
  await Promise.all(Array.from({ length: senders }, one))
}

async function runOpen(
  { eventsPerSecond, maxInFlight }: Extract<Pace, { kind: 'open' }>,
  sendOne: () => Promise<void>,
  mayStart: () => boolean,
  clock: Clock
): Promise<void> {
  const inFlight = new Set<Promise<void>>()
  let failure: unknown
  const startedMs = clock.monotonic()
  for (let number = 0; mayStart() && failure === undefined; number++) {
    const waitMs = startedMs + (number * 1_000) / eventsPerSecond - clock.monotonic()
    if (waitMs > 0) await clock.sleep(waitMs)
    if (inFlight.size >= maxInFlight) await Promise.race(inFlight)
    if (!mayStart()) break
    const sending = sendOne()
      .catch((error: unknown) => void (failure ??= error))
      .finally(() => void inFlight.delete(sending))
    inFlight.add(sending)
  }
  await Promise.all(inFlight)
  if (failure !== undefined) throw failure
}
