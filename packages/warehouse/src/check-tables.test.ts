import { describe, expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { createTableCheck, tableDifferences } from './check-tables.ts'
import { warehouseTables } from './tables.ts'
import type { WarehouseTable } from './tables.ts'

const events = warehouseTables[0] as WarehouseTable // the list is not empty

const rowOf = ({ name, columns, sortingKey }: WarehouseTable) => ({
  table: name,
  sortingKey,
  columns: columns.map((column) => [column.name, column.type] as const)
})
const allRows = warehouseTables.map(rowOf)

function server(answers: readonly (() => Promise<readonly unknown[]>)[]) {
  let asked = 0
  // The generic of the real method cannot be met by a list of prepared answers.
  const rows = (() => answers[asked++]?.() ?? Promise.resolve([])) as Clickhouse['rows']
  return { clickhouse: { rows, database: 'app' }, asked: () => asked }
}

describe('differences of a table', () => {
  it('are none in the table of this version, and none in a newer one', () => {
    const { columns, sortingKey } = events
    expect(tableDifferences(events, { columns, sortingKey })).toEqual([])
    expect(tableDifferences(events, { columns: [...columns, { name: 'later', type: 'String' }], sortingKey })).toEqual(
      []
    )
  })

  it('are none under a sorting key that goes on behind the known one, and some under one that is cut or only looks alike', () => {
    const { columns, sortingKey } = events
    const found = (key: string) => tableDifferences(events, { columns, sortingKey: key })
    expect(found(`${sortingKey}, later`)).toEqual([])
    for (const key of [`${sortingKey}2`, sortingKey.slice(0, sortingKey.lastIndexOf(','))])
      expect(found(key)).toEqual([`it is sorted by (${key}), not by (${sortingKey})`])
  })

  it('name what is missing, what has another type, and another sorting key', () => {
    const columns = events.columns
      .filter(({ name }) => name !== 'isBot')
      .map((column) => (column.name === 'offset' ? { name: 'offset', type: 'Int64' } : column))
    expect(tableDifferences(events, { columns, sortingKey: 'projectId' })).toEqual([
      'isBot Bool is missing',
      'offset is Int64, not UInt64',
      `it is sorted by (projectId), not by (${events.sortingKey})`
    ])
  })
})

describe('table check', () => {
  it('asks until it passed, then never again', async () => {
    const down = new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'down')
    const { clickhouse, asked } = server([() => Promise.reject(down), () => Promise.resolve(allRows)])
    const check = createTableCheck(clickhouse)
    await expect(check()).rejects.toBe(down)
    await check()
    await check()
    expect(asked()).toBe(2)
  })

  it('fails for good when a table is missing or differs, with every difference named', async () => {
    const missing = createTableCheck(server([() => Promise.resolve(allRows.slice(0, 2))]).clickhouse)
    await expect(missing()).rejects.toMatchObject({
      code: 'PIPE_TABLE_DRIFT',
      class: 'fatal',
      message: 'table app.first_seen: it does not exist'
    })
    const changed = allRows.map((row, index) => (index === 0 ? { ...row, columns: row.columns.slice(1) } : row))
    await expect(createTableCheck(server([() => Promise.resolve(changed)]).clickhouse)()).rejects.toMatchObject({
      message: 'table app.events_raw: projectId LowCardinality(String) is missing'
    })
  })

  it('blames no row when the server refuses to describe the tables', async () => {
    const refused = new AppError('PIPE_CLICKHOUSE_QUERY', 'no such database')
    const check = createTableCheck(server([() => Promise.reject(refused)]).clickhouse)
    await expect(check()).rejects.toMatchObject({ code: 'PIPE_TABLE_DRIFT', cause: refused })
  })
})
