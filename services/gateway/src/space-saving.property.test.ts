import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createSpaceSaving, mergeViews } from './space-saving.ts'
import type { SketchView } from './space-saving.ts'

/** Streams in which few keys are frequent and many are rare. */
const streams = fc.array(
  fc.oneof({ weight: 3, arbitrary: fc.nat(4) }, { weight: 2, arbitrary: fc.nat(200) }).map((key) => `k${key}`),
  { maxLength: 600 }
)
const capacities = fc.integer({ min: 1, max: 40 })

function countTrue(stream: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const key of stream) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}

function viewOf(stream: readonly string[], capacity: number): SketchView {
  const sketch = createSpaceSaving(capacity)
  for (const key of stream) sketch.add(key)
  return sketch.view()
}

/** The promises of the sketch, given what really came. */
function expectBounds(view: SketchView, stream: readonly string[]): void {
  const truth = countTrue(stream)
  expect(view.total).toBe(stream.length)
  for (const { key, count, error } of view.keys) {
    const real = truth.get(key) ?? 0
    expect(real).toBeLessThanOrEqual(count)
    expect(real).toBeGreaterThanOrEqual(count - error)
  }
  const listed = new Set(view.keys.map(({ key }) => key))
  for (const [key, real] of truth) if (!listed.has(key)) expect(real).toBeLessThanOrEqual(view.unseen)
}

describe('Space-Saving', () => {
  it('never counts too low, nor too high by more than it says, which is at most the mean of its counters', () => {
    fc.assert(
      fc.property(streams, capacities, (stream, capacity) => {
        const view = viewOf(stream, capacity)
        expectBounds(view, stream)
        expect(view.keys.length).toBeLessThanOrEqual(capacity)
        for (const { error } of view.keys) expect(error).toBeLessThanOrEqual(stream.length / capacity)
        expect(view.unseen).toBeLessThanOrEqual(stream.length / capacity)
      })
    )
  })

  it('lists every key that came more often than the mean of its counters', () => {
    fc.assert(
      fc.property(streams, capacities, (stream, capacity) => {
        const listed = new Set(viewOf(stream, capacity).keys.map(({ key }) => key))
        for (const [key, real] of countTrue(stream)) {
          if (real > stream.length / capacity) expect(listed).toContain(key)
        }
      })
    )
  })

  it('is exact while it has a counter for each key, the most frequent first', () => {
    expect(viewOf(['a', 'b', 'a', 'c', 'b', 'a'], 3)).toEqual({
      total: 6,
      unseen: 1,
      keys: [
        { key: 'a', count: 3, error: 0 },
        { key: 'b', count: 2, error: 0 },
        { key: 'c', count: 1, error: 0 }
      ]
    })
  })

  it('keeps its bounds when views of several processes become one', () => {
    fc.assert(
      fc.property(fc.array(streams, { maxLength: 4 }), capacities, (parts, capacity) => {
        const merged = mergeViews(
          parts.map((part) => viewOf(part, capacity)),
          capacity
        )
        expectBounds(merged, parts.flat())
        expect(merged.keys.length).toBeLessThanOrEqual(capacity)
      })
    )
  })
})
