// Chapter 5: a batch refused as a whole.
//
// A store that refuses a batch because of its data rarely says which row it means. The batch is halved until the refused
// row stands alone; that row is dead, the others land. The calls for one batch are bounded: what is decided by then is
// committed, and the search goes on with the next batch, so the partition moves in any case.
import { expect, it } from 'vitest'
import { AppError, done } from '@millrace/kernel'
import { createStage } from './setup.ts'
import type { Worker } from './setup.ts'

const policy = { maxRows: 8, maxBytes: 1_000_000, maxAgeMs: 100, scope: 'lane' } as const
const texts = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']

/** A store that refuses a batch with any of these rows, and keeps what it took. */
function store(refused: readonly string[], details: Record<string, string> = {}) {
  const landed: string[] = []
  const worker: Worker = ({ texts, batch }) => {
    if (texts.some((text) => refused.includes(text)))
      throw new AppError('PIPE_CLICKHOUSE_REFUSED', 'bad row', { details })
    landed.push(...texts)
    return batch.items.map(() => done)
  }
  return { landed, worker }
}

it('finds the refused rows; all others land and the offset moves behind them', async () => {
  const stage = await createStage()
  const { landed, worker } = store(['b', 'g'])
  const { calls } = await stage.start(worker, { policy })
  stage.append(0, ...texts)
  await stage.advance(100)
  expect(landed).toEqual(['a', 'c', 'd', 'e', 'f', 'h'])
  expect(stage.letters().map(({ value, letter }) => [value, letter.reason, letter.code])).toEqual([
    ['b', 'constraint', 'PIPE_CLICKHOUSE_REFUSED'],
    ['g', 'constraint', 'PIPE_CLICKHOUSE_REFUSED']
  ])
  expect(stage.committed()).toBe(8n)
  expect(calls.length).toBeLessThanOrEqual(1 + 2 * 2 * 3)
})

it('takes the reason of the letter from the error when it names one', async () => {
  const stage = await createStage()
  await stage.start(store(['b'], { reason: 'type' }).worker, { policy })
  stage.append(0, ...texts)
  await stage.advance(100)
  expect(stage.letters().map(({ letter }) => letter.reason)).toEqual(['type'])
})

it('tiles the range of the batch with the ranges of the halves', async () => {
  const stage = await createStage()
  const { calls } = await stage.start(store(['c']).worker, { policy })
  stage.append(0, 'a', 'skip', 'b', 'c', 'skip', 'd', 'skip')
  await stage.advance(100)
  expect(calls.map(({ texts, batch }) => [texts.join(''), batch.ranges[0]?.from, batch.ranges[0]?.to])).toEqual([
    ['abcd', 0n, 7n],
    ['ab', 0n, 3n],
    ['cd', 3n, 7n],
    ['c', 3n, 4n],
    ['d', 4n, 7n]
  ])
})

it('spends a bounded number of calls, commits what is decided, and goes on with the rest', async () => {
  const stage = await createStage()
  const { landed, worker } = store(texts.slice(0, 7))
  const commits: bigint[] = []
  stage.cluster.faults.commit = (_group, all) => void commits.push(...all.map(({ offset }) => offset))
  const { calls } = await stage.start(worker, { policy, settings: { maxBisectCalls: 1 } })
  stage.append(0, ...texts)
  await stage.advance(1_000)
  expect(landed).toEqual(['h'])
  expect(stage.letters()).toHaveLength(7)
  expect(commits.length).toBeGreaterThan(1)
  expect(commits).toEqual(commits.toSorted((a, b) => Number(a - b)))
  expect(stage.committed()).toBe(8n)
  expect(calls.length).toBeLessThan(40)
})

it('keeps what is decided when the store goes down during the search, and waits with the rest', async () => {
  const stage = await createStage()
  const { landed, worker } = store(['b'])
  let down = false
  await stage.start(
    (call) => {
      if (landed.includes('c') && !down) {
        down = true
        throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'no answer')
      }
      return worker(call)
    },
    { policy }
  )
  stage.append(0, ...texts)
  await stage.advance(1_000)
  expect(landed).toEqual(['a', 'c', 'd', 'e', 'f', 'g', 'h'])
  expect(stage.letters().map(({ value }) => value)).toEqual(['b'])
  expect(stage.committed()).toBe(8n)
})

it('finds a refused row in a batch of several partitions', async () => {
  const stage = await createStage(2)
  const { landed, worker } = store(['c'])
  await stage.start(worker, { policy: { ...policy, maxRows: 4, scope: 'process' } })
  stage.append(0, 'a', 'b')
  stage.append(1, 'c', 'd')
  await stage.advance(100)
  expect(landed.toSorted()).toEqual(['a', 'b', 'd'])
  expect(stage.letters().map(({ letter }) => letter.id)).toEqual(['g:events.a:1:0'])
  expect([stage.committed(0), stage.committed(1)]).toEqual([2n, 2n])
})

const buggy: Worker = ({ texts, batch }) => {
  if (texts.includes('b')) throw new RangeError('maximum call stack')
  return batch.items.map(() => done)
}

it('finds the row that brings out a bug, which is dead with reason `bug`; told not to isolate bugs, it ends', async () => {
  const crashing = await createStage()
  const { consumer } = await crashing.start(buggy, { policy, settings: { isolateBugs: false } })
  crashing.append(0, ...texts)
  await crashing.advance(100)
  await expect(consumer.done).rejects.toThrow('maximum call stack')
  expect(crashing.committed()).toBeUndefined()

  const stage = await createStage()
  await stage.start(buggy, { policy })
  stage.append(0, ...texts)
  await stage.advance(100)
  expect(stage.letters().map(({ value, letter }) => [value, letter.reason])).toEqual([['b', 'bug']])
  expect(stage.committed()).toBe(8n)
})

it('ends on a bug that no row of the batch survives: that is a wrong deployment, not bad data', async () => {
  const stage = await createStage()
  const worker: Worker = () => {
    throw new TypeError('undefined is not a function')
  }
  const { consumer } = await stage.start(worker, { policy })
  stage.append(0, ...texts)
  await stage.advance(100)
  await expect(consumer.done).rejects.toThrow('undefined is not a function')
  expect([stage.letters(), stage.committed()]).toEqual([[], undefined])
})

it('runs a row that brings out a bug once more when it was alone, and then it is dead', async () => {
  const stage = await createStage()
  let calls = 0
  await stage.start(
    ({ texts, batch }) => {
      calls++
      if (texts[0] === 'b' || (texts[0] === 'a' && calls === 1)) throw new TypeError('x is not a function')
      return batch.items.map(() => done)
    },
    { policy: { ...policy, maxRows: 1 } }
  )
  stage.append(0, 'a')
  await stage.advance(100)
  expect([calls, stage.letters(), stage.committed()]).toEqual([2, [], 1n])
  stage.append(0, 'b', 'c')
  await stage.advance(100)
  expect(stage.letters().map(({ value, letter }) => [value, letter.reason])).toEqual([['b', 'bug']])
  expect([calls, stage.committed()]).toEqual([5, 3n])
})
