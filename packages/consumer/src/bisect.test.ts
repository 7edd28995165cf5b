import { expect, it } from 'vitest'
import fc from 'fast-check'
import { done } from '@millrace/kernel'
import { bisect } from './bisect.ts'

const refusal = new Error('refused')

function search(count: number, bad: ReadonlySet<number>, options: { maxCalls?: number; stopAtDead?: boolean } = {}) {
  const calls: [number, number][] = []
  const landed: number[] = []
  const result = bisect({
    count,
    maxCalls: options.maxCalls ?? 10_000,
    stopAtDead: options.stopAtDead ?? false,
    verdict: (error) => (error === refusal ? { reason: 'constraint', again: true } : undefined),
    run: async (low, high) => {
      calls.push([low, high])
      for (let index = low; index < high; index++) if (bad.has(index)) throw refusal
      for (let index = low; index < high; index++) landed.push(index)
      return Array.from({ length: high - low }, () => done)
    }
  })
  return result.then((found) => ({ ...found, calls, landed }))
}

it('finds exactly the refused items of any batch, in order, and every other lands once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 2, max: 60 }), fc.array(fc.nat(59)), async (count, picks) => {
      const bad = new Set(picks.filter((index) => index < count))
      const { outcomes, again, landed, calls } = await search(count, bad)
      expect(again).toEqual([...bad].toSorted((a, b) => a - b))
      expect(outcomes.map(({ kind }) => kind)).toEqual(
        Array.from({ length: count }, (_, index) => (bad.has(index) ? 'dead' : 'done'))
      )
      expect(landed).toEqual(Array.from({ length: count }, (_, index) => index).filter((index) => !bad.has(index)))
      expect(calls.length).toBeLessThanOrEqual(2 + 2 * bad.size * Math.ceil(Math.log2(count)))
    })
  )
})

it('decides a prefix when its calls are spent', async () => {
  const { outcomes, calls } = await search(8, new Set([0, 1, 2, 3, 4, 5, 6, 7]), { maxCalls: 5 })
  expect(calls).toEqual([
    [0, 4],
    [0, 2],
    [0, 1],
    [1, 2],
    [2, 4]
  ])
  expect(outcomes.map(({ kind }) => kind)).toEqual(['dead', 'dead'])
})

it('stops in front of the first dead item when it is told to', async () => {
  const { outcomes, found } = await search(8, new Set([5]), { stopAtDead: true })
  expect(outcomes).toHaveLength(5)
  expect(found).toEqual({ kind: 'dead', reason: 'constraint', cause: refusal })
})

it('ends with the decided prefix on an error that is no refusal', async () => {
  const down = new Error('down')
  let calls = 0
  const result = await bisect({
    count: 4,
    maxCalls: 100,
    stopAtDead: false,
    verdict: () => undefined,
    run: async (low, high) => {
      if (++calls > 1) throw down
      return Array.from({ length: high - low }, () => done)
    }
  })
  expect(result).toEqual({ outcomes: [done, done], again: [], error: down, anyDone: true })
})
