import { describe, expect, it } from 'vitest'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Line } from '@millrace/stores/tab-lines'
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
const bytes = Buffer.from('a\nbc\n')
const [first, second]: readonly [Line, Line] = [
  { bytes, start: 0, end: 2 },
  { bytes, start: 2, end: 5 }
]
const table = { name: 'first_seen', columns: [{ name: 'a', type: 'String' }] } as const

describe('insert of lines', () => {
  it('is one synchronous statement with exactly the columns of the table, that no server takes for a repeat', async () => {
    const { inserts, clickhouse } = setUp()
    const { signal } = new AbortController()
    expect(await insertLines(clickhouse, table, [first, second], { signal })).toBe(5)
    const [[name, columns, body, request] = []] = inserts
    expect([inserts.length, name, columns, body, request?.format]).toEqual([
      1,
      'first_seen',
      ['a'],
      [bytes],
      'TabSeparated'
    ])
    expect(request?.settings).toEqual({
      async_insert: 0,
      insert_deduplicate: 0,
      max_partitions_per_insert_block: 0,
      date_time_input_format: 'basic'
    })
    expect(request?.queryId).toMatch(/^load:[0-9a-f-]{36}$/)
    expect(request?.signal).toBe(signal)
  })

  it('has an id of its own at every attempt, since a server refuses the id of a statement that still runs', async () => {
    const { inserts, clickhouse } = setUp()
    await insertLines(clickhouse, table, [first])
    await insertLines(clickhouse, table, [first])
    expect(new Set(inserts.map(([, , , request]) => request?.queryId)).size).toBe(2)
  })

  it('asks nothing of the server without lines', async () => {
    const { inserts, clickhouse } = setUp()
    expect(await insertLines(clickhouse, table, [])).toBe(0)
    expect(inserts).toEqual([])
  })
})
