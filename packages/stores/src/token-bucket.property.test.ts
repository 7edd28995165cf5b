import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { afterTaking, tokensAt, waitForMs } from './token-bucket.ts'

const rates = fc.record({
  eventsPerSecond: fc.double({ min: 0.01, max: 1e6, noNaN: true }),
  burst: fc.integer({ min: 1, max: 1e6 })
})
/** Attempts: milliseconds since the one before, and events wanted. */
const attempts = fc.array(
  fc.record({ afterMs: fc.double({ min: 0, max: 5_000, noNaN: true }), wanted: fc.integer({ min: 1, max: 2_000 }) }),
  { minLength: 1, maxLength: 100 }
)

describe('a token bucket', () => {
  it('gives at most its burst and what flowed in, in every span of time', () => {
    fc.assert(
      fc.property(rates, attempts, (rate, tries) => {
        let fullAtMs = 0
        let nowMs = 0
        const given: { atMs: number; count: number }[] = []
        for (const { afterMs, wanted } of tries) {
          nowMs += afterMs
          const count = Math.max(0, Math.min(wanted, tokensAt(fullAtMs, rate, nowMs)))
          if (count > 0) fullAtMs = afterTaking(fullAtMs, count, rate, nowMs)
          given.push({ atMs: nowMs, count })
        }
        for (let from = 0; from < given.length; from++) {
          let sum = 0
          for (const { atMs, count } of given.slice(from)) {
            sum += count
            const most = rate.burst + (rate.eventsPerSecond * (atMs - (given[from]?.atMs ?? 0))) / 1_000
            expect(sum).toBeLessThanOrEqual(most * (1 + 1e-9) + 0.01)
          }
        }
      })
    )
  })

  it('refuses nothing that comes within the rate, one event at a time', () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 1, max: 200 }), (rate, events) => {
        let fullAtMs = 0
        for (let at = 0; at < events; at++) {
          const nowMs = (at * 1_000) / rate.eventsPerSecond
          expect(tokensAt(fullAtMs, rate, nowMs)).toBeGreaterThanOrEqual(1)
          fullAtMs = afterTaking(fullAtMs, 1, rate, nowMs)
        }
      })
    )
  })

  it('has what was wanted once the wait it names is over, and not long before', () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 1e6 }), (rate, taken, wanted) => {
        const fullAtMs = afterTaking(0, taken, rate, 0)
        const waitMs = waitForMs(fullAtMs, wanted, rate, 0)
        const most = Math.min(wanted, rate.burst)
        expect(tokensAt(fullAtMs, rate, waitMs)).toBeGreaterThanOrEqual(most)
        if (waitMs > 1) expect(tokensAt(fullAtMs, rate, waitMs - 2)).toBeLessThanOrEqual(most)
      })
    )
  })
})
