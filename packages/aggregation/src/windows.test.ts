import { describe, expect, it } from 'vitest'
import { addToWindow, otherDimension, revisionOf, totalDimension } from './windows.ts'
import type { WindowDelta } from './windows.ts'

const delta = (dimensions: readonly string[]): WindowDelta => ({
  name: 'm:1h:0',
  startMs: 0,
  closeAtMs: 1,
  deleteAtMs: 2,
  events: dimensions.length,
  cap: 2,
  values: [totalDimension, ...dimensions].map((dimension) => ({
    dimension,
    count: dimension === totalDimension ? dimensions.length : 1,
    sum: 1n
  }))
})

describe('addToWindow', () => {
  it('keeps dimensions apart up to the cap, and the rest together', () => {
    const first = addToWindow(undefined, delta(['["a"]', '["b"]']))
    expect(first.capped).toBe(false)
    const second = addToWindow(first, delta(['["a"]', '["c"]', '["d"]']))
    expect(second.capped).toBe(true)
    expect([...second.values].map(([dimension, { count }]) => [dimension, count])).toEqual([
      [totalDimension, 5],
      ['["a"]', 2],
      ['["b"]', 1],
      [otherDimension, 2]
    ])
  })

  it('keeps a closed window closed, with a higher revision', () => {
    const closed = { ...addToWindow(undefined, delta(['["a"]'])), closed: true }
    const grown = addToWindow(closed, delta(['["a"]']))
    expect([revisionOf(closed), revisionOf(grown), grown.closed]).toEqual([3, 5, true])
  })
})
