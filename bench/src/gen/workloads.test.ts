import { describe, expect, it } from 'vitest'
import { decodeEvent } from '@millrace/contracts'
import { createRandom } from '@millrace/testkit/random'
import { createW1, createZipf } from './workloads.ts'

const now = Date.UTC(2026, 5, 1)

describe('createW1', () => {
  const bodies = createW1(1, 'run').render(2_000)

  it('is the same for the same seed, and goes on where it stopped', () => {
    const again = createW1(1, 'run')
    expect([...again.render(500), ...again.render(1_500)]).toEqual(bodies)
    expect(createW1(2, 'run').render(2_000)).not.toEqual(bodies)
  })

  it('makes events that the edge accepts, each with an id of its own', () => {
    const ids = bodies.map((body) => {
      const decision = decodeEvent(body, now)
      return decision.ok ? decision.event.eventId : decision.detail
    })
    expect(new Set(ids).size).toBe(2_000)
    expect(ids[0]).toBe('run-00000000')
  })

  it('makes events of about 300 bytes', () => {
    const mean = bodies.reduce((sum, body) => sum + body.length, 0) / bodies.length
    expect(mean).toBeGreaterThan(270)
    expect(mean).toBeLessThan(330)
  })
})

describe('createZipf', () => {
  it('favours low ranks as the exponent says and stays in range', () => {
    const next = createZipf(100, 1, createRandom(3))
    const counts = new Map<number, number>()
    for (let draw = 0; draw < 50_000; draw++) {
      const rank = next()
      counts.set(rank, (counts.get(rank) ?? 0) + 1)
    }
    expect(Math.min(...counts.keys())).toBe(0)
    expect(Math.max(...counts.keys())).toBe(99)
    // The harmonic number of 100 is 5.187, so rank 0 has a share of 0.193 and rank 1 half of it.
    expect((counts.get(0) ?? 0) / 50_000).toBeCloseTo(0.193, 1)
    expect((counts.get(0) ?? 0) / (counts.get(1) ?? 1)).toBeGreaterThan(1.8)
    expect((counts.get(0) ?? 0) / (counts.get(1) ?? 1)).toBeLessThan(2.2)
  })
})
