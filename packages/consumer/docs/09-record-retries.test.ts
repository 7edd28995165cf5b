// Chapter 9: a record that a store refuses is tried again, by itself.
//
// What our own code says of a record it would say again. A store may not: a constraint, a column that a migration is
// about to add. So the refused record waits 1, 4 and 16 seconds and is tried alone; its neighbours landed in the first
// attempt, other partitions go on, and only then is it dead.
import { expect, it } from 'vitest'
import { AppError, dead, done } from '@millrace/kernel'
import { createStage, settle } from './setup.ts'
import type { Stage, Worker } from './setup.ts'

const policy = { maxRows: 4, maxBytes: 1_000_000, maxAgeMs: 100, scope: 'process' } as const
const settings = { recordRetryMs: 1_000 }

/** A store that refuses these rows while `refusing`; `tried` holds when it was asked for each. */
function store(stage: Stage, refused: ReadonlySet<string>) {
  const landed: string[] = []
  const tried: [number, string][] = []
  const startMs = stage.clock.monotonic()
  const worker: Worker = ({ texts, batch }) => {
    tried.push([stage.clock.monotonic() - startMs, texts.join('')])
    if (texts.some((text) => refused.has(text))) throw new AppError('PIPE_CLICKHOUSE_REFUSED', 'bad row')
    landed.push(...texts)
    return batch.items.map(() => done)
  }
  return { landed, tried, worker }
}

it('tries it alone after 1, 4 and 16 seconds; then it is dead, and the letter says how often it was tried', async () => {
  const stage = await createStage()
  const { landed, tried, worker } = store(stage, new Set(['c']))
  await stage.start(worker, { policy, settings })
  stage.append(0, 'a', 'b', 'c', 'd')
  await settle()
  expect([landed, stage.letters(), stage.committed()]).toEqual([['a', 'b', 'd'], [], undefined])
  await stage.advance(21_000)
  expect(tried.filter(([, texts]) => texts === 'c').map(([atMs]) => atMs)).toEqual([0, 1_000, 5_000, 21_000])
  expect(landed).toEqual(['a', 'b', 'd'])
  expect(stage.letters().map(({ value, letter }) => [value, letter.attempts])).toEqual([['c', 4]])
  expect(stage.committed()).toBe(4n)
})

it('lets it land when the store changes its mind, and nothing is dead', async () => {
  const stage = await createStage()
  const refused = new Set(['b'])
  const { landed, worker } = store(stage, refused)
  await stage.start(worker, { policy, settings })
  stage.append(0, 'a', 'b', 'c', 'd')
  await stage.advance(2_000)
  refused.clear()
  await stage.advance(3_000)
  expect(landed).toEqual(['a', 'c', 'd', 'b'])
  expect([stage.letters(), stage.committed()]).toEqual([[], 4n])
})

it('does not hold up other partitions, and holds up its own by its tries alone, however many are refused', async () => {
  const stage = await createStage(2)
  const { landed, worker } = store(stage, new Set(['b', 'c']))
  await stage.start(worker, { policy, settings })
  stage.append(0, 'a', 'b')
  stage.append(1, 'x', 'y')
  await settle()
  expect([stage.committed(0), stage.committed(1)]).toEqual([undefined, 2n])
  stage.append(0, 'c', 'd')
  stage.append(1, 'z')
  await stage.advance(200)
  expect([landed.includes('z'), stage.committed(1)]).toEqual([true, 3n])
  await stage.advance(21_000)
  expect(stage.committed(0)).toBe(2n)
  await stage.advance(21_000)
  expect(stage.committed(0)).toBe(4n)
  expect(landed).toEqual(['a', 'x', 'y', 'z', 'd'])
  expect(stage.letters().map(({ value }) => value)).toEqual(['b', 'c'])
})

it('does not ask again for what the worker itself says is dead', async () => {
  const stage = await createStage()
  const { calls } = await stage.start(
    ({ texts }) => texts.map((text) => (text === 'b' ? dead('size', new Error('too large')) : done)),
    { policy, settings }
  )
  stage.append(0, 'a', 'b', 'c', 'd')
  await settle()
  expect([calls.length, stage.letters().length, stage.committed()]).toEqual([1, 1, 4n])
})

it('counts no try while the store is away: an outage makes no letter', async () => {
  const stage = await createStage()
  const { worker } = store(stage, new Set(['b']))
  let away = false
  await stage.start(
    (call) => {
      if (away) throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'no answer')
      return worker(call)
    },
    { policy, settings }
  )
  stage.append(0, 'a', 'b', 'c', 'd')
  await settle()
  away = true
  await stage.advance(600_000)
  expect([stage.letters(), stage.committed()]).toEqual([[], undefined])
  away = false
  await stage.advance(120_000)
  expect([stage.letters().map(({ value }) => value), stage.committed()]).toEqual([['b'], 4n])
})
