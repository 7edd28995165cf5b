// Whatever a server answers, in whatever order: every event settles once, nothing is lost without a word, what counts as
// stored was said to be stored, and nothing is sent again after that.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createClient } from './index.ts'
import type { TrackError } from './index.ts'
import { createFakePage, createManualRuntime, createMemoryStorage } from '../test/manual-runtime.ts'
import type { Answer, SentRequest, WireEvent } from '../test/manual-runtime.ts'

type Said = 'accepted' | 'duplicate' | 'rejected' | 'retry' | 'missing' | 'garbage'

/** What the server does with one request. */
type Move =
  | {
      readonly kind: 'items'
      readonly status: number
      readonly said: readonly Said[]
      readonly retryAfter: string | undefined
    }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter: string | undefined }
  | { readonly kind: 'network' }
  | { readonly kind: 'silence' }
  | { readonly kind: 'page' }

/** What the application and its device do, each after a pause. */
interface Step {
  readonly pauseMs: number
  readonly act: 'track' | 'burst' | 'flush' | 'hide' | 'offline' | 'online'
}

const saidArb = fc.constantFrom<Said>('accepted', 'duplicate', 'rejected', 'retry', 'missing', 'garbage')
const retryAfterArb = fc.constantFrom(undefined, '0', '3', '20', 'soon', 'Thu, 01 Jan 2026 00:00:20 GMT')
const moveArb: fc.Arbitrary<Move> = fc.oneof(
  fc.record({
    kind: fc.constant('items' as const),
    status: fc.constantFrom(202, 207, 422, 429, 503),
    said: fc.array(saidArb, { minLength: 1, maxLength: 6 }),
    retryAfter: retryAfterArb
  }),
  fc.record({
    kind: fc.constant('status' as const),
    status: fc.constantFrom(200, 202, 301, 400, 401, 404, 405, 408, 409, 413, 422, 429, 500, 502, 503, 504),
    retryAfter: retryAfterArb
  }),
  fc.constantFrom<Move>({ kind: 'network' }, { kind: 'silence' }, { kind: 'page' })
)
const stepArb: fc.Arbitrary<Step> = fc.record({
  pauseMs: fc.constantFrom(0, 1, 100, 500, 1_000, 5_000, 20_000),
  act: fc.constantFrom('track', 'track', 'burst', 'flush', 'hide', 'offline', 'online')
})

/** A server that follows `moves` and notes what it was sent and what it told. */
function createWitness(moves: readonly Move[]) {
  const queue = [...moves]
  const stored = new Set<string>()
  const final = new Map<string, 'stored' | 'refused'>()
  const sends = new Map<string, number>()
  const bodies = new Map<string, Set<string>>()
  const wrongs: string[] = []

  const note = (event: WireEvent): void => {
    const { sentAt: _, ...rest } = event
    sends.set(event.eventId, (sends.get(event.eventId) ?? 0) + 1)
    bodies.set(event.eventId, (bodies.get(event.eventId) ?? new Set()).add(JSON.stringify(rest)))
    const before = final.get(event.eventId)
    if (before !== undefined) wrongs.push(`${event.eventId} was sent again after it was ${before}`)
  }
  const tell = (eventId: string, said: 'stored' | 'refused'): void => {
    if (said === 'stored') stored.add(eventId)
    final.set(eventId, said)
  }
  /** The request did not stand for its events, so it is no attempt. */
  const forgive = (events: readonly WireEvent[]): void => {
    for (const { eventId } of events) sends.set(eventId, (sends.get(eventId) ?? 0) - 1)
  }

  const server = (request: SentRequest): Answer => {
    const { events, path } = request
    events.forEach(note)
    const single = path === '/v1/events'
    const move: Move = queue.shift() ?? { kind: 'items', status: 202, said: ['accepted'], retryAfter: undefined }
    if (move.kind === 'network' || move.kind === 'silence') return move.kind
    if (move.kind === 'page') return { status: 200, body: '<html>Welcome to this hotel</html>' }
    const headers = move.retryAfter === undefined ? {} : { 'retry-after': move.retryAfter }
    if (move.kind === 'status' || single) {
      const { status } = move
      if (!single && (status === 404 || status === 405 || status === 413)) forgive(events)
      else if (status === 409 && single) events.forEach(({ eventId }) => tell(eventId, 'stored'))
      else if (status >= 400 && status < 500 && status !== 408 && status !== 429)
        events.forEach(({ eventId }) => tell(eventId, 'refused'))
      else if (move.kind === 'items' && status < 300) events.forEach(({ eventId }) => tell(eventId, 'stored'))
      const eventId = events[0]?.eventId
      return { status, headers, body: move.kind === 'items' ? { status: 'accepted', eventId } : { code: 'some' } }
    }
    const items = events.flatMap<{ eventId: string; status: unknown }>(({ eventId }, index) => {
      const said = move.said[index % move.said.length]
      if (said === 'missing') return []
      if (said === 'garbage') return [{ eventId, status: 7 }]
      if (said === 'accepted' || said === 'duplicate') tell(eventId, 'stored')
      if (said === 'rejected') tell(eventId, 'refused')
      return [{ eventId, status: said }]
    })
    return { status: move.status, headers, body: { items } }
  }
  return { server, stored, sends, bodies, wrongs }
}

describe('any run of answers', () => {
  it('settles every event once, as the server said, and never sends one again after that', async () => {
    const run = fc.asyncProperty(
      fc.array(moveArb, { maxLength: 30 }),
      fc.array(stepArb, { minLength: 1, maxLength: 25 }),
      fc.record({
        batch: fc.boolean(),
        maxBatchEvents: fc.constantFrom(1, 2, 5, 100),
        maxQueueEvents: fc.constantFrom(3, 1_000),
        retries: fc.constantFrom(0, 1, 3),
        closeAfterMs: fc.option(fc.constantFrom(0, 1_000, 30_000), { nil: undefined }),
        withStorage: fc.boolean(),
        luck: fc.constantFrom(0, 0.5, 0.99)
      }),
      async (moves, steps, { closeAfterMs, withStorage, luck, ...options }) => {
        const runtime = createManualRuntime()
        const page = createFakePage()
        const witness = createWitness(moves)
        runtime.luck = luck
        runtime.page = page
        runtime.server = witness.server
        const drops = new Map<string, number>()
        const onDrop = ({ eventId = '' }: TrackError): void => void drops.set(eventId, (drops.get(eventId) ?? 0) + 1)
        const storage = withStorage ? { storage: createMemoryStorage() } : {}
        const client = createClient({ url: 'https://e', writeKey: 'k', runtime, onDrop, ...storage, ...options })
        const outcomes = new Map<string, string>()
        let tracked = 0
        const track = (): void => {
          const eventId = `e${tracked++}`
          const settled = (outcome: string): void => {
            outcomes.set(eventId, outcomes.has(eventId) ? 'settled twice' : outcome)
          }
          void client.track('x', {}, { eventId }).then(
            ({ status }) => settled(status),
            (error: TrackError) => settled(error.reason)
          )
        }
        for (const { pauseMs, act } of steps) {
          await runtime.advance(pauseMs)
          if (act === 'track') track()
          if (act === 'burst') for (let index = 0; index < 7; index++) track()
          if (act === 'flush') void client.flush()
          if (act === 'hide') page.hide()
          if (act === 'offline') page.connected = false
          if (act === 'online') page.connect()
        }
        page.connect()
        if (closeAfterMs !== undefined) void client.close({ timeoutMs: closeAfterMs })
        await runtime.advance(3_600_000)

        expect(witness.wrongs).toEqual([])
        expect(client.pending).toBe(0)
        expect(runtime.timers()).toBe(0)
        for (let index = 0; index < tracked; index++) {
          const eventId = `e${index}`
          const outcome = outcomes.get(eventId) ?? 'lost'
          const isStored = outcome === 'accepted' || outcome === 'duplicate'
          expect([eventId, outcome]).not.toEqual([eventId, 'lost'])
          expect(outcome).not.toBe('settled twice')
          if (isStored) expect(witness.stored).toContain(eventId)
          expect([eventId, outcome, drops.get(eventId) ?? 0]).toEqual([
            eventId,
            outcome,
            isStored || outcome === 'kept' ? 0 : 1
          ])
          expect(witness.bodies.get(eventId)?.size ?? 1).toBe(1)
        }
        // A request that fails while the device has no network is no attempt, so then there may be more of them.
        const alwaysOnline = steps.every(({ act }) => act !== 'offline')
        for (const [eventId, times] of alwaysOnline ? witness.sends : [])
          expect([eventId, times <= options.retries + 1]).toEqual([eventId, true])
      }
    )
    await fc.assert(run, { numRuns: 500 })
  })
})
