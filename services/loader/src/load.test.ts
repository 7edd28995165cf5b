import { describe, expect, it, vi } from 'vitest'
import { eventColumns } from '@millrace/contracts'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry } from '@millrace/observability'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { createLoad } from './load.ts'
import { loaderMetrics } from './metrics.ts'
import { withPlantedBugs } from './planted.ts'

type Insert = Parameters<Clickhouse['insertLines']>

function setUp(options: { answer?: () => Promise<void>; checkTable?: () => Promise<void> } = {}) {
  const inserts: Insert[] = []
  const events: string[] = []
  const registry = createRegistry()
  const load = createLoad({
    clickhouse: {
      insertLines: async (...insert) => {
        inserts.push(insert)
        await options.answer?.()
        events.push('answered')
      }
    },
    checkTable: options.checkTable ?? (() => Promise.resolve()),
    metrics: bindMetrics(loaderMetrics, registry),
    clock: createManualClock(),
    faults: { at: (label) => void events.push(label) }
  })
  const total = async (name: string): Promise<unknown> => (await registry.getSingleMetric(name)?.get())?.values
  return { load, inserts, events, total }
}

const context = { signal: new AbortController().signal }

describe('load', () => {
  it('inserts all rows of a batch with one statement and is done after its reply', async () => {
    const { load, inserts, events, total } = setUp()
    expect(await load({ items: ['{"a":1}', '{"a":2}'] }, context)).toEqual([{ kind: 'done' }, { kind: 'done' }])
    const [[table, columns, body, request] = []] = inserts
    expect([inserts.length, table, columns]).toEqual([1, 'events_raw', eventColumns.map(({ name }) => name)])
    expect(String(body)).toBe('{"a":1}\n{"a":2}\n')
    expect(request?.settings).toEqual({
      async_insert: 0,
      insert_deduplicate: 0,
      max_partitions_per_insert_block: 0,
      date_time_input_format: 'best_effort'
    })
    expect(request?.queryId).toMatch(/^load:[0-9a-f-]{36}$/)
    expect(request?.signal).toBe(context.signal)
    expect(events).toEqual(['loader.before-insert', 'answered', 'loader.after-insert'])
    expect(await total('analytics_loader_rows_inserted_total')).toMatchObject([{ value: 2 }])
  })

  it('names every attempt anew, since a server refuses the id of a statement that still runs', async () => {
    const { load, inserts } = setUp()
    await load({ items: ['{}'] }, context)
    await load({ items: ['{}'] }, context)
    expect(new Set(inserts.map(([, , , request]) => request?.queryId)).size).toBe(2)
  })

  it('asks nothing of the server for an empty batch', async () => {
    const { load, inserts } = setUp()
    expect(await load({ items: [] }, context)).toEqual([])
    expect(inserts).toEqual([])
  })

  it.each([
    ['PIPE_CLICKHOUSE_UNAVAILABLE', 'unavailable'],
    ['PIPE_CLICKHOUSE_REFUSED', 'refused'],
    ['PIPE_DEADLINE', 'aborted']
  ] as const)('passes %s on and counts the doubt', async (code, reason) => {
    const { load, total } = setUp({ answer: () => Promise.reject(new AppError(code, 'insert')) })
    await expect(load({ items: ['{}'] }, context)).rejects.toMatchObject({ code })
    expect(await total('analytics_loader_doubtful_inserts_total')).toMatchObject([{ value: 1, labels: { reason } }])
    expect(await total('analytics_loader_rows_inserted_total')).toMatchObject([{ value: 0 }])
  })

  it('inserts nothing while the table does not fit', async () => {
    const { load, inserts } = setUp({ checkTable: () => Promise.reject(new AppError('PIPE_TABLE_DRIFT', 'drift')) })
    await expect(load({ items: ['{}'] }, context)).rejects.toMatchObject({ code: 'PIPE_TABLE_DRIFT', class: 'fatal' })
    expect(inserts).toEqual([])
  })
})

describe('the planted bug', () => {
  it('is off unless it is named', () => {
    const { load } = setUp()
    expect(withPlantedBugs(load, new Set(['other']))).toBe(load)
  })

  it('says done before the insert was answered, and also when it fails', async () => {
    const { load, inserts, events } = setUp({ answer: () => Promise.reject(new AppError('PIPE_STACK', 'gone')) })
    const planted = withPlantedBugs(load, new Set(['loader-commit-before-insert']))
    expect(await planted({ items: ['{}'] }, context)).toEqual([{ kind: 'done' }])
    await vi.waitFor(() => expect(inserts.length).toBe(1))
    expect(events).not.toContain('answered')
  })
})
