import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { eventColumns } from './columns.ts'

const migration = readFileSync(new URL('../../../schemas/clickhouse/0001_events_raw.sql', import.meta.url), 'utf8')
const view = readFileSync(new URL('../../../schemas/clickhouse/0002_events.sql', import.meta.url), 'utf8')

describe('event columns', () => {
  it('are the columns of the table, with its types and in its order', () => {
    const body = migration.slice(migration.indexOf('\n(\n') + 3, migration.indexOf('\n)\nENGINE'))
    const lines = body.split('\n').map((line) => line.trim().replace(/,$/, ''))
    const columns = lines.filter((line) => !line.startsWith('INDEX '))
    const declared = columns.map((line) => line.replace(/ CODEC\(.*\)$/, '').replace(/ {2,}/, ' '))
    expect(declared).toEqual(eventColumns.map(({ name, type }) => `${name} ${type}`))
  })

  it('are the columns of the view, except for the rank of copies', () => {
    const select = view.slice(view.indexOf('SELECT') + 6, view.indexOf('FROM events_raw'))
    const names = select.split(',').map((name) => name.trim())
    expect(names).toEqual(eventColumns.map(({ name }) => name).filter((name) => name !== 'version'))
  })

  it('each say what they are', () => {
    expect(eventColumns.filter(({ doc }) => !/^[A-Za-z].*\.$/.test(doc))).toEqual([])
    expect(new Set(eventColumns.map(({ name }) => name)).size).toBe(eventColumns.length)
  })
})
