import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { eventColumns, personColumns } from './columns.ts'

const migration = readFileSync(new URL('../../../schemas/clickhouse/0001_events_raw.sql', import.meta.url), 'utf8')
const identity = readFileSync(new URL('../../../schemas/clickhouse/0004_identity.sql', import.meta.url), 'utf8')

describe('event columns', () => {
  it('are the columns of the table, with its types and in its order', () => {
    const body = migration.slice(migration.indexOf('\n(\n') + 3, migration.indexOf('\n)\nENGINE'))
    const lines = body.split('\n').map((line) => line.trim().replace(/,$/, ''))
    const columns = lines.filter((line) => !line.startsWith('INDEX '))
    const declared = columns.map((line) => line.replace(/ CODEC\(.*\)$/, '').replace(/ {2,}/, ' '))
    expect(declared).toEqual(eventColumns.map(({ name, type }) => `${name} ${type}`))
  })

  it.each(['events', 'events_fresh'])(
    'are the columns of the view %s, except for the rank of copies, and the person',
    (name) => {
      const view = identity.slice(identity.indexOf(`CREATE OR REPLACE VIEW ${name} `))
      const list = view.slice(view.indexOf('\nSELECT\n') + 8, view.indexOf('\nFROM'))
      // The name that a line gives; lines within an expression give none.
      const names = [...list.matchAll(/^ +(?:.* AS )?(\w+),?$/gm)].map(([, last]) => last)
      const columns = [...eventColumns, ...personColumns].map((column) => column.name)
      expect(names).toEqual(columns.filter((column) => column !== 'version'))
    }
  )

  it('each say what they are', () => {
    expect(eventColumns.filter(({ doc }) => !/^[A-Za-z].*\.$/.test(doc))).toEqual([])
    expect(new Set(eventColumns.map(({ name }) => name)).size).toBe(eventColumns.length)
  })
})
