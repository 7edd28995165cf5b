// Load as a careful client makes it: every event is sent until the answer is final, with the same id and bytes, and
// every answer is in the ledger before anything depends on it.
import { backoffMs } from '@millrace/kernel'
import type { BackoffPolicy, Clock } from '@millrace/kernel'
import type { EventFactory } from '../event-factory.ts'
import { createRandom } from '../random.ts'
import type { Random } from '../random.ts'
import type { Answer, HttpSender, ItemAnswer } from './http-sender.ts'
import { bytesHash } from './ledger.ts'
import type { Ledger, LedgerEntry, SendKind } from './ledger.ts'

/** `open`: sendings (an event, or a batch of them) start at a fixed rate whatever happens. `closed`: so many senders, each waiting for its answer. */
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
  /** Share of sendings that are batches (0 to 1), and how many events they hold. */
  readonly batches?: { readonly share: number; readonly events: number }
  /** Share of sendings that are sent a second time after their acknowledgement (0 to 1). */
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
  /** Answers of 429 and 503 that do not say when to come back. */
  readonly withoutRetryAfter: number
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

/** Whether an attempt leaves it open if the event is stored. A connection that was refused carried nothing. */
export function isUnknown({ end, status, code }: Pick<LedgerEntry, 'end' | 'status' | 'code'>): boolean {
  if (end !== 'answered') return code !== 'ECONNREFUSED'
  return status >= 500 && code !== 'unavailable' && code !== 'in_progress'
}

/** Starts sending; see LoadOptions. */
export function startLoad(options: LoadOptions): Load {
  const { clock, factory, pace } = options
  const random = createRandom(`load-${options.seed}`)
  const counts = {
    attempts: 0,
    accepted: 0,
    duplicates: 0,
    refused: 0,
    unresolved: 0,
    unknown: 0,
    withoutRetryAfter: 0
  }
  let stopped = false
  let started = 0
  const mayStart = (): boolean => !stopped && started < (options.events ?? Infinity)

  const note = async (kind: SendKind, attempt: number, sent: Sent, item: Item, reply: Reply): Promise<void> => {
    const { end, status, code } = reply
    const bodyHash = bytesHash(item.body)
    await options.ledger.append({ eventId: item.eventId, kind, attempt, ...sent, end, status, code, bodyHash })
    counts.attempts++
    if (isUnknown(reply)) counts.unknown++
    if (!isFinal(reply)) return
    if (status === 202) counts.accepted++
    else if (status === 409) counts.duplicates++
    else counts.refused++
  }

  /** Sends until every answer is final, or the time is over; the items that were acknowledged. */
  const send = async (kind: SendKind, items: readonly Item[], batch: boolean): Promise<readonly Item[]> => {
    const deadline = clock.monotonic() + (options.giveUpAfterMs ?? 120_000)
    const acknowledged: Item[] = []
    let open = items
    for (let attempt = 1; ; attempt++) {
      const sentMs = clock.monotonic()
      const sentNs = process.hrtime.bigint().toString()
      const answer = await (batch
        ? options.sender.post(toBatch(open), 'batch')
        : options.sender.post(open[0]?.body ?? ''))
      const sent = { sentNs, tookMs: Math.round(clock.monotonic() - sentMs) }
      const asksToWait = answer.status === 429 || answer.status === 503
      if (asksToWait && answer.retryAfterMs === undefined) counts.withoutRetryAfter++
      const replies = open.map((item, index) => [item, replyTo(answer, index, open.length)] as const)
      await Promise.all(replies.map(([item, reply]) => note(kind, attempt, sent, item, reply)))
      acknowledged.push(...replies.flatMap(([item, { status }]) => (status === 202 || status === 409 ? item : [])))
      open = replies.flatMap(([item, reply]) => (isFinal(reply) ? [] : item))
      if (open.length === 0) return acknowledged
      if (clock.monotonic() >= deadline) {
        counts.unresolved += open.length
        return acknowledged
      }
      const asked = answer.retryAfterMs ?? backoffMs(backoff, attempt, random)
      await clock.sleep(Math.min(asked, options.maxRetryAfterMs ?? 2_000))
    }
  }

  const sendOne = async (): Promise<void> => {
    const choices = choose(random, options)
    const size = choices.batch ? (options.batches?.events ?? 1) : 1
    started += size
    const items = Array.from({ length: size }, () => toItem(factory.event()))
    if (choices.bad) await send('bad', [factory.bad()], false)
    const acknowledged = await send('event', items, choices.batch)
    if (choices.repeat && acknowledged.length > 0) await send('repeat', acknowledged, choices.batch)
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

/** One event as it is sent, every time with the same bytes. */
interface Item {
  readonly eventId: string
  readonly body: string | Uint8Array
}

type Sent = Pick<LedgerEntry, 'sentNs' | 'tookMs'>
type Reply = Pick<LedgerEntry, 'end' | 'status' | 'code'>

function toItem(event: { readonly eventId: string }): Item {
  return { eventId: event.eventId, body: JSON.stringify(event) }
}

/** A batch around the same bytes that single events have. */
function toBatch(items: readonly Item[]): string {
  return `{"events":[${items.map(({ body }) => String(body)).join(',')}]}`
}

const itemStatuses = new Map([
  ['accepted', 202],
  ['duplicate', 409],
  ['rejected', 422]
])

/** What an answer says about the event at `index`; without items it says the same about all of them. */
function replyTo(answer: Answer, index: number, total: number): Reply {
  const { end, status, code, items } = answer
  const item: ItemAnswer | undefined = items?.length === total ? items[index] : undefined
  if (item === undefined) return { end, status, code }
  const own = itemStatuses.get(item.status)
  if (own !== undefined) return { end, status: own, code: item.code || item.status }
  return { end, status: item.code === 'rate_limited' ? 429 : 503, code: item.code }
}

function choose(random: Random, options: LoadOptions): Readonly<Record<'repeat' | 'bad' | 'batch', boolean>> {
  return {
    repeat: random.chance(options.repeatShare ?? 0),
    bad: random.chance(options.badShare ?? 0),
    batch: options.batches !== undefined && random.chance(options.batches.share)
  }
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
