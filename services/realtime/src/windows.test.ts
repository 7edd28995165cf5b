import { AppError } from '@millrace/kernel'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import type { WindowShare, WindowValue } from '@millrace/aggregation/window-value'
import { describe, expect, it } from 'vitest'
import { createIsKnown, createReadWindows } from './windows.ts'

const share: WindowShare = { count: 3, sum: 0n, min: undefined, max: undefined, unique: 2 }
const window = (startMs: number, dimensions: readonly string[]): WindowValue => ({
  name: `events:1m:${startMs}`,
  startMs,
  events: 3,
  closed: false,
  capped: false,
  revision: 6,
  values: new Map(dimensions.map((dimension) => [dimension, share]))
})
const definitions = { of: () => builtInMetrics([]), ageMs: () => 0 }
const unknown = {
  of: () => {
    throw new AppError('PIPE_LIVE_STATE', 'not known')
  },
  ageMs: () => Number.POSITIVE_INFINITY
}

describe('createReadWindows', () => {
  const read = async (dimension: string, metric = 'events') => {
    const asked: unknown[] = []
    const reader = {
      read: async (...question: unknown[]) => {
        asked.push(question)
        const windows = [window(60_000, ['']), window(120_000, ['', '["a"]'])].map((each) => [each.name, each] as const)
        return { epoch: 4, completeFromMs: 120_000, clockMs: 0, windows: new Map(windows) }
      }
    }
    const question = { project: 'shop', metric, granularity: '1m', fromMs: 60_000, toMs: 120_001, dimension } as const
    const { epoch, messages } = await createReadWindows(reader, definitions)(question)
    return { asked, epoch, told: messages.map(({ timestamp, dimension: of, value }) => [timestamp, of, value]) }
  }

  it('reads the whole windows alone, and what the live state saw from their beginning', async () => {
    expect(await read('')).toEqual({
      asked: [['shop', ['events:1m:60000', 'events:1m:120000'], ['']]],
      epoch: 4,
      told: [[120_000, undefined, 3]]
    })
  })

  it('reads one dimension, or all of them', async () => {
    expect((await read('["a"]')).told).toEqual([[120_000, '["a"]', 3]])
    const all = await read('*')
    expect(all.asked).toEqual([['shop', ['events:1m:60000', 'events:1m:120000'], undefined]])
    expect(all.told).toHaveLength(2)
  })

  it('knows what the numbers of a metric are', async () => {
    expect((await read('', 'active_users')).told).toEqual([[120_000, undefined, 2]])
  })

  it('waits while definitions are not known', async () => {
    const reader = { read: async () => ({ epoch: 1, completeFromMs: 0, clockMs: 0, windows: new Map() }) }
    const question = { project: 'shop', granularity: '1m', fromMs: 0, toMs: 1, dimension: '' } as const
    const readWindows = createReadWindows(reader, unknown)
    await expect(readWindows({ ...question, metric: 'events' })).rejects.toMatchObject({ class: 'transient' })
    expect(await readWindows({ ...question, metric: 'bounce_rate' })).toEqual({ epoch: 1, messages: [] })
    const old = createReadWindows(reader, { ...definitions, ageMs: () => 120_001 })
    await expect(old({ ...question, metric: 'added_since' })).rejects.toMatchObject({ class: 'transient' })
    const none = { epoch: 0, messages: [] }
    expect(await createReadWindows(reader, definitions)({ ...question, metric: 'added_since' })).toEqual(none)
  })
})

describe('createIsKnown', () => {
  it('knows what every project has, what sessions make, and what is defined; and does not guess', () => {
    const isKnown = createIsKnown(definitions)
    expect(['events', 'bounce_rate', 'nonsense'].map((name) => isKnown('shop', name))).toEqual([true, true, false])
    expect(createIsKnown(unknown)('shop', 'nonsense')).toBe(true)
    expect(createIsKnown({ ...definitions, ageMs: () => 120_001 })('shop', 'added_since')).toBe(true)
  })
})
