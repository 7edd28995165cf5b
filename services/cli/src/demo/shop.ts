// The visitors of the demo shop as a stream of request bodies, decided by a seed and the times it is asked at: visits
// side by side, few visitors that come often and many that come once, sign-ins at the checkout, refunds of some orders,
// copies that a client sends twice, and broken events.
import { devices, locales, sources } from './catalog.ts'
import type { Device, Source } from './catalog.ts'
import { createRandom } from './random.ts'
import type { Random } from './random.ts'
import { createVisit } from './visit.ts'
import type { Step, Visit } from './visit.ts'

/** What a body is: a new event, the same bytes as an earlier one, or something the gateway must refuse. */
export type DemoKind = 'event' | 'duplicate' | 'bad'

export interface DemoRequest {
  readonly kind: DemoKind
  /** JSON text of one event (broken in some `bad` ones). */
  readonly body: string
  /** The event of the body, unless it is a `bad` one. */
  readonly event?: DemoEvent
}

/** An event of the shop as a client sends it. */
export interface DemoEvent {
  readonly eventId: string
  readonly eventType: string
  readonly userId?: string
  readonly anonymousId: string
  readonly sessionId: string
  readonly timestamp: string
  readonly properties: Readonly<Record<string, unknown>>
  readonly context: {
    readonly page: { readonly url: string; readonly path: string; readonly title: string; readonly referrer?: string }
    readonly campaign?: NonNullable<Source['campaign']>
    readonly userAgent: string
    readonly locale: string
  }
}

export interface ShopOptions {
  readonly seed: number
  /** Epoch milliseconds of this run; part of session ids, so that two runs never share a session. */
  readonly startMs: number
  /** Visits that go on side by side. */
  readonly visits?: number
  readonly duplicateShare?: number
  readonly badShare?: number
}

export interface Shop {
  /** The next request at `nowMs` (epoch milliseconds). */
  next(nowMs: number): DemoRequest
}

interface Visitor {
  readonly number: number
  readonly device: Device
  readonly locale: string
}

interface OpenVisit {
  readonly visitor: Visitor
  readonly sessionId: string
  readonly source: Source
  readonly visit: Visit
  previousUrl: string | undefined
}

const shopUrl = 'https://shop.millrace.example'
const visitorCount = 2_000
/** Chance that an order is given back later. */
const refundShare = 0.06
/** A visitor with this chance comes signed in; the others may sign in at the checkout. */
const knownShare = 0.2

/** The shop of `seed`. Equal options and equal times give equal requests. */
export function createShop(options: ShopOptions): Shop {
  const { seed, startMs, visits = 60, duplicateShare = 0.01, badShare = 0.005 } = options
  const random = createRandom(seed)
  const run = startMs.toString(36)
  const open: OpenVisit[] = []
  const signedIn = new Set<number>()
  const copies: { due: number; event: DemoEvent }[] = []
  /** What follows from an earlier event, as soon as it is due. */
  const followUps: { due: number; make: (nowMs: number) => DemoEvent }[] = []
  let sent = 0
  let sessions = 0

  const openVisit = (): OpenVisit => {
    const visitor = createVisitor(seed, pickVisitor(random))
    if (createRandom(seed ^ (visitor.number + 1)).chance(knownShare)) signedIn.add(visitor.number)
    const visit = createVisit(random, signedIn.has(visitor.number))
    const source = random.pickWeighted(sources)
    return { visitor, source, visit, sessionId: `s-${run}-${++sessions}`, previousUrl: source.referrer }
  }

  /** The step of some visit; a visit that is over is replaced by a new one. */
  const nextStep = (): { at: OpenVisit; step: Step } => {
    for (;;) {
      const place = open.length < visits ? open.length : random.below(visits)
      const at = (open[place] ??= openVisit())
      const step = at.visit.next()
      if (step !== undefined) return { at, step }
      open[place] = openVisit()
    }
  }

  const takeDue = <T extends { readonly due: number }>(waiting: T[]): T | undefined => {
    const index = waiting.findIndex(({ due }) => due <= sent)
    return index < 0 ? undefined : waiting.splice(index, 1)[0]
  }

  const nextEvent = (nowMs: number): DemoEvent => {
    const followUp = takeDue(followUps)
    if (followUp !== undefined) return followUp.make(nowMs)
    const { at, step } = nextStep()
    const { number } = at.visitor
    if (step.eventType === 'sign_in') {
      signedIn.add(number)
      const traits = { plan: number % 10 === 0 ? 'club' : 'guest' }
      followUps.push({
        due: sent,
        make: (ms) => toEvent(at, { ...step, eventType: 'identify', properties: traits }, true, uuidV7(ms, random), ms)
      })
    }
    if (step.eventType === 'purchase' && random.chance(refundShare)) {
      const known = signedIn.has(number)
      const { revenue: _paid, ...order } = step.properties
      const page = { path: '/account/orders', title: 'Your orders' }
      const refund = { ...step, ...page, eventType: 'refund', properties: order }
      followUps.push({
        due: sent + 50 + random.below(500),
        make: (ms) => toEvent(at, refund, known, uuidV7(ms, random), ms)
      })
    }
    const event = toEvent(at, step, signedIn.has(number), uuidV7(nowMs, random), nowMs)
    at.previousUrl = `${shopUrl}${step.path}`
    return event
  }

  return {
    next(nowMs) {
      sent++
      const copy = takeDue(copies)
      if (copy !== undefined) return { kind: 'duplicate', body: JSON.stringify(copy.event), event: copy.event }
      const event = nextEvent(nowMs)
      if (random.chance(badShare)) return { kind: 'bad', body: random.pick(breakages)({ ...event }) }
      if (random.chance(duplicateShare)) copies.push({ due: sent + 5 + random.below(50), event })
      return { kind: 'event', body: JSON.stringify(event), event }
    }
  }
}

/** Visitor n comes about n times as seldom as the first one (Zipf's law): u uniform makes N^u log-uniform. */
function pickVisitor(random: Random): number {
  return Math.floor(visitorCount ** random.fraction())
}

function createVisitor(seed: number, number: number): Visitor {
  const random = createRandom(seed + number * 7919)
  return { number, device: random.pickWeighted(devices), locale: random.pick(locales) }
}

type Happening = Pick<Step, 'path' | 'title'> & {
  readonly eventType: string
  readonly properties: Readonly<Record<string, unknown>>
}

function toEvent(at: OpenVisit, step: Happening, known: boolean, eventId: string, nowMs: number): DemoEvent {
  const { visitor, source, sessionId, previousUrl } = at
  return {
    eventId,
    eventType: step.eventType,
    ...(known ? { userId: `user-${visitor.number}` } : {}),
    anonymousId: `anon-${visitor.number}`,
    sessionId,
    timestamp: new Date(nowMs).toISOString(),
    properties: step.properties,
    context: {
      page: {
        url: `${shopUrl}${step.path}`,
        path: step.path,
        title: step.title,
        ...(previousUrl === undefined ? {} : { referrer: previousUrl })
      },
      ...(source.campaign === undefined ? {} : { campaign: source.campaign }),
      userAgent: visitor.device.userAgent,
      locale: visitor.locale
    }
  }
}

/** What clients do wrong; each is refused with a 4xx. */
const breakages: readonly ((event: Record<string, unknown>) => string)[] = [
  (event) => JSON.stringify({ ...event, eventType: undefined }),
  (event) => JSON.stringify({ ...event, userId: 42 }),
  (event) => JSON.stringify({ ...event, timestamp: 'yesterday' }),
  (event) => JSON.stringify({ ...event, revenue: 12.5 }),
  (event) => JSON.stringify(event).slice(0, -7)
]

/** A UUID of version 7 at `nowMs` with random bits of `random`. */
function uuidV7(nowMs: number, random: Random): string {
  const time = nowMs.toString(16).padStart(12, '0')
  const bits = (digits: number): string =>
    random
      .below(16 ** digits)
      .toString(16)
      .padStart(digits, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${bits(3)}-${'89ab'[random.below(4)]}${bits(3)}-${bits(6)}${bits(6)}`
}
