import { describe, expect, it } from 'vitest'
import { createUuid7 } from './uuid.ts'

const start = Date.UTC(2026, 0, 1)

function source(
  now: () => number,
  fill = (bytes: Uint8Array): void => void crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>)
) {
  return createUuid7({ now, fillRandom: fill })
}

const timeOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

describe('event ids', () => {
  it('are UUIDs of version 7 and variant 10 with the time of their making', () => {
    const id = source(() => start + 0.7)()
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(timeOf(id)).toBe(start)
  })

  it('show every random bit but those of version and variant', () => {
    const bits = (byte: number): string =>
      source(
        () => 0,
        (bytes) => bytes.fill(byte)
      )()
    expect(bits(0)).toBe('00000000-0000-7000-8000-000000000000')
    expect(bits(255)).toBe('00000000-0000-77ff-bfff-ffffffffffff')
  })

  it('of one millisecond are different and in order, also beyond what its counter holds', () => {
    const next = source(() => start)
    const ids = Array.from({ length: 10_000 }, next)
    expect(new Set(ids).size).toBe(10_000)
    expect(ids.toSorted()).toEqual(ids)
    expect(timeOf(ids.at(-1) ?? '') - start).toBeLessThanOrEqual(3)
  })

  it('stay in order when the clock steps back a little, and follow it when it jumps', () => {
    let now = start
    const next = source(() => now)
    const first = next()
    now -= 9_000
    const second = next()
    expect(second > first && timeOf(second) === start).toBe(true)
    now -= 86_400_000
    expect(timeOf(next())).toBe(now)
  })
})
