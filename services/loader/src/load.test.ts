import { describe, expect, it, vi } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry } from '@millrace/observability'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { WarehouseEntry } from '@millrace/warehouse/entry'
import type { Line } from '@millrace/stores/tab-lines'
import { createLoad } from './load.ts'
import type { LoadDeps } from './load.ts'
import { loaderMetrics } from './metrics.ts'
import { createPlantedLoad } from './planted.ts'

type Insert = Parameters<Clickhouse['insertLines']>
type Answer = (table: string, lines: number) => Promise<void> | void

function setUp(options: { answer?: Answer; checkTables?: () => Promise<void> } = {}) {
  const inserts: Insert[] = []
  const events: string[] = []
  const registry = createRegistry()
  const clock = createManualClock()
  const deps: LoadDeps = {
    clickhouse: {
      insertLines: async (...insert) => {
        inserts.push(insert)
        const [table, , body] = insert
        await options.answer?.(table, textOf(body).split('\n').length - 1)
        events.push(`${table} answered`)
      }
    },
    checkTables: options.checkTables ?? (() => Promise.resolve()),
    metrics: bindMetrics(loaderMetrics, registry),
    clock,
    faults: { at: (label) => void events.push(label) }
  }
  const total = async (name: string): Promise<unknown> => (await registry.getSingleMetric(name)?.get())?.values
  const shown = (): string[] =>
    inserts.map(([table, , body]) => `${table}: ${textOf(body).trim().split('\n').join(' ')}`)
  return { deps, load: createLoad(deps), inserts, events, total, clock, shown }
}

function textOf(body: Insert[2]): string {
  return Array.isArray(body) ? Buffer.concat(body).toString() : String(body)
}

const lineOf = (text: string): Line => ({ bytes: Buffer.from(`${text}\n`), start: 0, end: text.length + 1 })

const entry = (change: Partial<WarehouseEntry> = {}): WarehouseEntry => ({
  projectId: 'shop',
  userId: 'u',
  anonymousId: '',
  timestampMs: Date.UTC(2026, 5, 1),
  event: lineOf('e1'),
  link: undefined,
  ...change
})
const batchOf = (...items: readonly WarehouseEntry[]) => ({
  items,
  ranges: [{ topic: 'events.shop', partition: 0, from: 0n, to: BigInt(items.length) }]
})
const context = { signal: new AbortController().signal, progress: () => {} }
const seen = 'shop\tuser\tu\t2026-06-01 00:00:00.000'
const unavailable = (code?: number): AppError =>
  new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'insert', code === undefined ? {} : { details: { code } })

describe('load', () => {
  it('inserts the events, then what is beside them at once, and is done when all have answered', async () => {
    const { load, events, total, shown } = setUp()
    const batch = batchOf(entry(), entry({ event: lineOf('e2'), link: lineOf('l2') }))
    expect(await load(batch, context)).toEqual([{ kind: 'done' }, { kind: 'done' }])
    expect(shown()).toEqual(['events_raw: e1 e2', 'identity_links: l2', `first_seen: ${seen}`])
    expect(events).toEqual([
      'loader.before-insert',
      'events_raw answered',
      'loader.after-events-raw',
      'identity_links answered',
      'first_seen answered',
      'loader.after-identity-links',
      'loader.after-first-seen',
      'loader.after-insert'
    ])
    expect(await total('analytics_loader_rows_inserted_total')).toMatchObject([{ value: 2 }])
    expect(await total('analytics_loader_side_rows_inserted_total')).toMatchObject([
      { value: 1, labels: { table: 'identity_links' } },
      { value: 1, labels: { table: 'first_seen' } }
    ])
  })

  it('leaves out a table that a batch has nothing for', async () => {
    const { load, shown } = setUp()
    await load(batchOf(entry({ userId: '' })), context)
    expect(shown()).toEqual(['events_raw: e1'])
  })

  it('asks nothing of the server for an empty batch', async () => {
    const { load, inserts } = setUp()
    expect(await load(batchOf(), context)).toEqual([])
    expect(inserts).toEqual([])
  })

  it('gives every table the whole time limit', async () => {
    const { load } = setUp()
    const progress = vi.fn<() => void>()
    await load(batchOf(entry()), { ...context, progress })
    expect(progress).toHaveBeenCalledTimes(3)
  })

  it.each([
    ['PIPE_CLICKHOUSE_UNAVAILABLE', 'unavailable'],
    ['PIPE_CLICKHOUSE_REFUSED', 'refused'],
    ['PIPE_DEADLINE', 'aborted']
  ] as const)('passes %s on, counts the doubt and touches no later table', async (code, reason) => {
    const { load, inserts, total } = setUp({ answer: () => Promise.reject(new AppError(code, 'insert')) })
    await expect(load(batchOf(entry()), context)).rejects.toMatchObject({ code })
    expect(inserts.length).toBe(1)
    expect(await total('analytics_loader_doubtful_inserts_total')).toMatchObject([{ value: 1, labels: { reason } }])
    expect(await total('analytics_loader_rows_inserted_total')).toMatchObject([{ value: 0 }])
  })

  it('is not done while a side table has not answered', async () => {
    const answer: Answer = (table) => (table === 'first_seen' ? Promise.reject(unavailable()) : undefined)
    const { load, inserts } = setUp({ answer })
    await expect(load(batchOf(entry()), context)).rejects.toMatchObject({ code: 'PIPE_CLICKHOUSE_UNAVAILABLE' })
    await expect(load(batchOf(entry()), context)).rejects.toMatchObject({ code: 'PIPE_CLICKHOUSE_UNAVAILABLE' })
    // Again means all of it again.
    expect(inserts.map(([table]) => table)).toEqual(['events_raw', 'first_seen', 'events_raw', 'first_seen'])
  })

  it('inserts nothing while the tables do not fit', async () => {
    const { load, inserts } = setUp({ checkTables: () => Promise.reject(new AppError('PIPE_TABLE_DRIFT', 'drift')) })
    await expect(load(batchOf(entry()), context)).rejects.toMatchObject({ code: 'PIPE_TABLE_DRIFT', class: 'fatal' })
    expect(inserts).toEqual([])
  })
})

describe('too many parts', () => {
  const may = entry({ userId: '', timestampMs: Date.UTC(2026, 4, 1), event: lineOf('may') })
  const june = entry({ userId: '', event: lineOf('june') })

  it('are the months of the batch when a single row is taken: then month by month', async () => {
    const answer: Answer = (_table, lines) => (lines > 2 ? Promise.reject(unavailable(252)) : undefined)
    const { load, shown, total } = setUp({ answer })
    expect(await load(batchOf(may, june, may), context)).toHaveLength(3)
    expect(shown().slice(1)).toEqual(['events_raw: may', 'events_raw: may may', 'events_raw: june'])
    expect(await total('analytics_loader_batches_apart_total')).toMatchObject([{ value: 1 }])
  })

  it('have the whole time limit each', async () => {
    const answer: Answer = (_table, lines) => (lines > 2 ? Promise.reject(unavailable(252)) : undefined)
    const progress = vi.fn<() => void>()
    const months = [5, 6, 7].map((month) => entry({ userId: '', timestampMs: Date.UTC(2026, month, 1) }))
    const { load, inserts } = setUp({ answer })
    await load(batchOf(...months), { ...context, progress })
    // All at once, which is refused; a single row; three months; and of two tables nothing.
    expect([inserts.length, progress.mock.calls.length]).toEqual([5, 4 + 2])
  })

  it('are an overload when not even a single row is taken: then it waits', async () => {
    const { load, inserts } = setUp({ answer: () => Promise.reject(unavailable(252)) })
    await expect(load(batchOf(may, june), context)).rejects.toMatchObject({ class: 'transient' })
    expect(inserts.length).toBe(2)
  })

  it('are an overload when the batch has one month only', async () => {
    const { load, inserts } = setUp({ answer: () => Promise.reject(unavailable(252)) })
    await expect(load(batchOf(may, may), context)).rejects.toMatchObject({ class: 'transient' })
    expect(inserts.length).toBe(1)
  })
})

describe('planted bugs', () => {
  it('are off unless they are named', async () => {
    const { deps, inserts } = setUp()
    await createPlantedLoad(deps, new Set(['other']))(batchOf(entry()), context)
    expect(inserts.map(([table, , , request]) => [table, request?.settings?.['insert_deduplicate']])).toEqual([
      ['events_raw', 0],
      ['first_seen', 0]
    ])
  })

  it('say done before the insert was answered, and also when it fails', async () => {
    const { deps, inserts, events } = setUp({ answer: () => Promise.reject(new AppError('PIPE_STACK', 'gone')) })
    const planted = createPlantedLoad(deps, new Set(['loader-commit-before-insert']))
    expect(await planted(batchOf(entry()), context)).toEqual([{ kind: 'done' }])
    await expect.poll(() => inserts.length).toBe(1)
    expect(events).not.toContain('events_raw answered')
  })

  it('say done before the side tables have anything', async () => {
    const { deps, inserts, clock } = setUp()
    const planted = createPlantedLoad(deps, new Set(['loader-side-tables-after-commit']))
    expect(await planted(batchOf(entry()), context)).toEqual([{ kind: 'done' }])
    expect(inserts.map(([table]) => table)).toEqual(['events_raw'])
    await clock.advance(1_500)
    await expect.poll(() => inserts.map(([table]) => table)).toEqual(['events_raw', 'first_seen'])
  })

  it('give a range a token and let the server recognise it', async () => {
    const { deps, inserts } = setUp()
    await createPlantedLoad(deps, new Set(['loader-trusts-tokens']))(batchOf(entry()), context)
    expect(inserts[0]?.[3]?.settings).toMatchObject({
      insert_deduplicate: 1,
      insert_deduplication_token: 'events.shop:0:0-1'
    })
  })
})
