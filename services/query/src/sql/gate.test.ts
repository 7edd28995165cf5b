import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { gate, loadGate, maxQueryLength } from './gate.ts'

const corpus = (name: string): string[] =>
  JSON.parse(readFileSync(new URL(`../../test/${name}.json`, import.meta.url), 'utf8')) as string[]

beforeAll(loadGate)

describe('gate', () => {
  it.each(corpus('good-queries'))('lets through: %s', (sql) => {
    expect(gate(sql)).toMatchObject({ ok: true })
  })

  it.each(corpus('refused-queries'))('refuses: %s', (sql) => {
    expect(gate(sql)).toMatchObject({ ok: false })
  })

  it('writes the query anew without its comments', () => {
    expect(gate("select count(*) /* all */ from events -- end\nwhere eventType='purchase'")).toMatchObject({
      ok: true,
      sql: "SELECT count(*) FROM events WHERE eventType = 'purchase'"
    })
  })

  it('says what is wrong and where', () => {
    expect(gate('SELECT 1\nFROM  secrets')).toEqual({
      ok: false,
      code: 'query_refused',
      detail: 'there is no table secrets; readable: events, events_fresh, sessions',
      position: { line: 2, column: 7 }
    })
    expect(gate('')).toEqual({ ok: false, code: 'query_failed', detail: 'the query is empty' })
    expect(gate('SELECT FROM WHERE')).toMatchObject({ ok: false })
  })

  it('names the parameters a query binds', () => {
    const gated = gate('SELECT count() FROM events WHERE eventType = {type:String} AND latenessMs < {late:Int64}')
    expect(gated.ok && [...gated.parameters]).toEqual([
      ['type', 'String'],
      ['late', 'Int64']
    ])
  })

  it('refuses what is too long before it is parsed', () => {
    expect(gate(`SELECT '${'x'.repeat(maxQueryLength)}'`)).toMatchObject({ ok: false, code: 'query_refused' })
  })

  it('answers within bounded time for deep nesting', () => {
    expect(gate(`SELECT ${'('.repeat(5_000)}1${')'.repeat(5_000)}`)).toMatchObject({ ok: false })
  })

  it('never throws, whatever the text', () => {
    const words = [
      'SELECT',
      'FROM',
      'events',
      'secrets',
      '(',
      ')',
      ',',
      "'",
      '"',
      '`',
      ';',
      '--',
      '/*',
      '*/',
      'IN',
      '{a:String}',
      '*',
      '1',
      '\\',
      '\u0000',
      'é',
      'WITH',
      'AS'
    ]
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 5 })), { maxLength: 20 }),
        (parts) => {
          const gated = gate(parts.join(' '))
          if (gated.ok) expect(gated.sql).not.toContain('secrets FROM')
        }
      )
    )
  })
})
