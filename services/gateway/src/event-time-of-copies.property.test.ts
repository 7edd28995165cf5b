import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defaultProjectSettings, enrich, rawTopic, resolveEventTime } from '@millrace/contracts'
import { createManualClock } from '@millrace/kernel'
import { createFaults } from '@millrace/service'
import { createMemoryLease } from '../test/memory-lease.ts'
import { createAcceptEvents } from './accept.ts'
import { dedupSettings } from './config.ts'
import { createDedup } from './dedup.ts'

const startMs = Date.UTC(2026, 2, 1)
const project = { projectId: 'demo', logGeneration: 0, settings: defaultProjectSettings }
const textOf = (ms: number): string => new Date(ms).toISOString()

/** A gateway that hands every event to a log of which nobody hears: all attempts at an id are made. */
function setup() {
  const clock = createManualClock(startMs)
  const published: Buffer[] = []
  const { lease } = createMemoryLease()
  const accept = createAcceptEvents({
    dedup: createDedup({ lease, clock, settings: dedupSettings, onFailure: () => {} }),
    log: {
      retryAfterMs: () => 0,
      publishAll: async (events) => {
        for (const { value } of events) published.push(value)
        return events.map(() => ({ kind: 'unavailable', reason: 'not_stored' }))
      }
    },
    clock,
    faults: createFaults(undefined, false),
    maxEventBytes: 10_000,
    gates: [],
    onReceived: () => {},
    onUnchecked: () => {}
  })
  return { clock, accept, published }
}

/** The event time of a record, as every reader of the log finds it. */
function timeOf(value: Buffer, appendedAtMs: number): number {
  const enriched = enrich({ topic: rawTopic('demo'), partition: 0, offset: 0n, value, appendedAtMs })
  return enriched.ok ? enriched.row.timestamp : expect.fail(enriched.detail)
}

const second = 1_000
const day = 86_400 * second
/** Near the bounds that matter (the present, a minute) and far from them. */
const offset = fc.oneof(
  fc.integer({ min: -3 * second, max: 3 * second }),
  fc.integer({ min: -130 * second, max: 130 * second }),
  fc.integer({ min: -day, max: day })
)
const delay = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 130 * second }))
const attempt = fc.record({ delayMs: delay, sentAt: fc.constantFrom('event', 'batch', 'none') })
const cases = fc.record({
  timestampOffsetMs: fc.option(offset, { nil: undefined }),
  hasUuidV7: fc.boolean(),
  clockOffMs: offset,
  first: attempt,
  repeat: attempt,
  repeatAfterMs: fc.oneof(fc.integer({ min: 1, max: 10 * second }), fc.integer({ min: 1, max: day }))
})

function uuidV7At(ms: number): string {
  const hex = ms.toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`
}

describe('two copies of an event', () => {
  it('have the same event time when the first depended on its receipt, or neither did', async () => {
    let compared = 0
    await fc.assert(
      fc.asyncProperty(cases, async (each) => {
        const { clock, accept, published } = setup()
        const madeAtMs = startMs + (each.timestampOffsetMs ?? 0)
        const timestamp = each.timestampOffsetMs === undefined ? undefined : textOf(madeAtMs)
        const event = {
          eventId: each.hasUuidV7 ? uuidV7At(madeAtMs + each.clockOffMs) : 'order-7',
          eventType: 'a',
          timestamp
        }
        const dependent: boolean[] = []
        const send = async ({ delayMs, sentAt }: typeof each.first): Promise<void> => {
          const nowMs = clock.now()
          const said = sentAt === 'none' ? undefined : textOf(nowMs - delayMs + each.clockOffMs)
          const body = Buffer.from(JSON.stringify(sentAt === 'event' ? { ...event, sentAt: said } : event))
          const time = resolveEventTime({ ...event, sentAt: said }, nowMs)
          dependent.push(time.ok && time.dependsOnReceipt)
          await accept(project, [body], { sentAt: sentAt === 'batch' ? said : undefined })
        }
        await send(each.first)
        await clock.advance(each.repeatAfterMs)
        await send(each.repeat)
        const [first, repeat] = published
        // What is refused for its time has no copies.
        if (first === undefined || repeat === undefined) return
        // The clock that is wrong at the second attempt only: nothing was kept of the first.
        if (dependent[0] === false && dependent[1] === true) return
        compared++
        expect(timeOf(repeat, clock.now())).toBe(timeOf(first, clock.now()))
      }),
      { numRuns: 2_000 }
    )
    expect(compared).toBeGreaterThan(1_000)
  })
})
