import { describe, expect, it } from 'vitest'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { insertLines } from './insert.ts'

type Insert = Parameters<Clickhouse['insertLines']>

function setUp() {
  const inserts: Insert[] = []
  const clickhouse = {
    insertLines: (...insert: Insert) => {
      inserts.push(insert)
      return Promise.resolve()
    }
  }
  return { inserts, clickhouse }
}
const table = { name: 'first_seen', columns: [{ name: 'a', type: 'String' }] } as const

describe('insert of lines', () => {
  it('is one synchronous statement with exactly the columns of the table, that no server takes for a repeat', async () => {
    const { inserts, clickhouse } = setUp()
    const { signal } = new AbortController()
    expect(await insertLines(clickhouse, table, ['{"a":"1"}', '{"a":"2"}'], { signal })).toBe(20)
    const [[name, columns, body, request] = []] = inserts
    expect([inserts.length, name, columns, String(body)]).toEqual([1, 'first_seen', ['a'], '{"a":"1"}\n{"a":"2"}\n'])
    expect(request?.settings).toEqual({
      async_insert: 0,
      insert_deduplicate: 0,
      max_partitions_per_insert_block: 0,
      date_time_input_format: 'best_effort'
    })
    expect(request?.queryId).toMatch(/^load:[0-9a-f-]{36}$/)
    expect(request?.signal).toBe(signal)
  })

  it('has an id of its own at every attempt, since a server refuses the id of a statement that still runs', async () => {
    const { inserts, clickhouse } = setUp()
    await insertLines(clickhouse, table, ['{}'])
    await insertLines(clickhouse, table, ['{}'])
    expect(new Set(inserts.map(([, , , request]) => request?.queryId)).size).toBe(2)
  })

  it('asks nothing of the server without lines', async () => {
    const { inserts, clickhouse } = setUp()
    expect(await insertLines(clickhouse, table, [])).toBe(0)
    expect(inserts).toEqual([])
  })
})
