import { describe, expect, it } from 'vitest'
import { eventColumns } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { columnDifferences, createTableCheck } from './table.ts'

const columns = eventColumns.map(({ name, type }) => ({ name, type: type as string }))

function server(answers: readonly (() => Promise<readonly unknown[]>)[]) {
  let asked = 0
  // The generic of the real method cannot be met by a list of prepared answers.
  const rows = (() => answers[asked++]?.() ?? Promise.resolve([])) as Clickhouse['rows']
  return { clickhouse: { rows, database: 'app' }, asked: () => asked }
}

describe('columnDifferences', () => {
  it('finds none in the table of this version, and none in a newer one', () => {
    expect(columnDifferences(columns)).toEqual([])
    expect(columnDifferences([...columns, { name: 'later', type: 'String' }])).toEqual([])
  })

  it('names what is missing and what has another type', () => {
    const changed = columns.filter(({ name }) => name !== 'isBot').map((column) => ({ ...column }))
    const offset = changed.find(({ name }) => name === 'offset')
    if (offset !== undefined) offset.type = 'Int64'
    expect(columnDifferences(changed)).toEqual(['isBot Bool is missing', 'offset is Int64, not UInt64'])
  })
})

describe('table check', () => {
  it('asks until it passed, then never again', async () => {
    const down = new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'down')
    const { clickhouse, asked } = server([() => Promise.reject(down), () => Promise.resolve(columns)])
    const check = createTableCheck(clickhouse)
    await expect(check()).rejects.toBe(down)
    await check()
    await check()
    expect(asked()).toBe(2)
  })

  it('ends the loader when the table is missing or differs, with the difference named', async () => {
    const missing = createTableCheck(server([() => Promise.resolve([])]).clickhouse)
    await expect(missing()).rejects.toMatchObject({
      code: 'PIPE_TABLE_DRIFT',
      message: 'table app.events_raw: it does not exist'
    })
    const differs = createTableCheck(server([() => Promise.resolve(columns.slice(1))]).clickhouse)
    await expect(differs()).rejects.toMatchObject({
      class: 'fatal',
      message: 'table app.events_raw: projectId LowCardinality(String) is missing'
    })
  })

  it('blames no row when the server refuses to describe the table', async () => {
    const refused = new AppError('PIPE_CLICKHOUSE_QUERY', 'no such database')
    const check = createTableCheck(server([() => Promise.reject(refused)]).clickhouse)
    await expect(check()).rejects.toMatchObject({ code: 'PIPE_TABLE_DRIFT', cause: refused })
  })
})
