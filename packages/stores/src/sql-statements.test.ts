import { describe, expect, it } from 'vitest'
import { namesMadeBy, rewriteOf, splitStatements, statementsToRepeat } from './sql-statements.ts'

describe('splitStatements', () => {
  it.each([
    ['two statements', 'SELECT 1; SELECT 2', ['SELECT 1', 'SELECT 2']],
    ['an end without a semicolon and empty statements', ';;SELECT 1;\n;', ['SELECT 1']],
    ['a semicolon in a string', "SELECT ';' ; SELECT 2", ["SELECT ';'", 'SELECT 2']],
    ['an escaped quote', "SELECT '\\';' ; SELECT 2", ["SELECT '\\';'", 'SELECT 2']],
    ['a backslash before the closing quote', "SELECT '\\\\'; SELECT ';'", ["SELECT '\\\\'", "SELECT ';'"]],
    ['a doubled quote', "SELECT 'a'';b'; SELECT 2", ["SELECT 'a'';b'", 'SELECT 2']],
    ['quoted names', 'SELECT `a;b`, "c;d"; SELECT 2', ['SELECT `a;b`, "c;d"', 'SELECT 2']],
    ['a line comment inside', 'SELECT 1 -- a; b\n+ 1; SELECT 2', ['SELECT 1 -- a; b\n+ 1', 'SELECT 2']],
    ['comments around', '-- first; still\n/* ; */ SELECT 1; -- last;', ['SELECT 1']],
    ['a quote in a comment', "-- don't\nSELECT 1; SELECT 2", ['SELECT 1', 'SELECT 2']],
    ['a comment mark in a string', "SELECT '--'; SELECT 2", ["SELECT '--'", 'SELECT 2']],
    ['a hash comment', '# a; b\nSELECT 1', ['SELECT 1']],
    ['a heredoc', 'SELECT $a$ ; $b$ ; $a$; SELECT 2', ['SELECT $a$ ; $b$ ; $a$', 'SELECT 2']],
    ['an unclosed string', "SELECT 'a; b", ["SELECT 'a; b"]],
    ['nothing', ' -- nothing\n', []]
  ])('%s', (_what, sql, statements) => {
    expect(splitStatements(sql)).toEqual(statements)
  })
})

describe('namesMadeBy', () => {
  it('gives the tables, views and dictionaries that are left', () => {
    const statements = [
      'CREATE TABLE IF NOT EXISTS a (x Int8)',
      'create or replace view b SQL SECURITY DEFINER AS SELECT 1',
      'CREATE MATERIALIZED VIEW `c` TO a AS SELECT 1',
      'CREATE DICTIONARY IF NOT EXISTS d (x Int8)',
      'ALTER TABLE a ADD COLUMN y Int8',
      'CREATE TABLE e (x Int8)',
      'DROP TABLE IF EXISTS e',
      'INSERT INTO f SELECT 1'
    ]
    expect(namesMadeBy(statements)).toEqual(['a', 'b', 'c', 'd'])
  })
})

describe('statementsToRepeat', () => {
  const first = 'CREATE OR REPLACE VIEW a AS SELECT 1'
  const last = 'CREATE OR REPLACE VIEW a AS SELECT 2'
  const others = ['CREATE TABLE IF NOT EXISTS t (x Int8)', 'CREATE OR REPLACE VIEW b AS SELECT * FROM a']

  it('never puts an older definition in the place of a newer one', () => {
    expect(statementsToRepeat([first, ...others, last], new Set(['a', 'b', 't']))).toEqual([...others, last])
  })

  it('makes what is missing in every step, since what stands between may need it', () => {
    expect(statementsToRepeat([first, ...others, last], new Set(['b', 't']))).toEqual([first, ...others, last])
  })

  it('does not compute for old rows again what they have', () => {
    const fill = 'ALTER TABLE t MATERIALIZE COLUMN x, MATERIALIZE COLUMN y'
    expect(statementsToRepeat([...others, fill, 'ALTER TABLE t ADD COLUMN z Int8'], new Set(['t']))).toEqual([
      ...others,
      'ALTER TABLE t ADD COLUMN z Int8'
    ])
  })

  it('does not make what a later statement drops, unless something is missing', () => {
    const kept = ['ALTER TABLE t ADD COLUMN IF NOT EXISTS z Int8', 'DROP VIEW IF EXISTS c']
    const doomed = ['ALTER TABLE t ADD COLUMN IF NOT EXISTS\n  y Int8', 'CREATE OR REPLACE VIEW c AS SELECT y FROM t']
    const drop = 'ALTER TABLE t DROP COLUMN IF EXISTS y'
    const all = [...others, ...doomed, ...kept, drop]
    expect(statementsToRepeat(all, new Set(['b', 't']))).toEqual([...others, ...kept, drop])
    expect(statementsToRepeat(all, new Set(['t']))).toEqual(all)
  })
})

describe('rewriteOf', () => {
  it('names what the server does in the background, as the server lists it', () => {
    expect(rewriteOf('ALTER TABLE t MATERIALIZE COLUMN x,\n  MATERIALIZE  PROJECTION y')).toEqual({
      table: 't',
      commands: ['MATERIALIZE COLUMN x', 'MATERIALIZE PROJECTION y']
    })
    expect(rewriteOf('ALTER TABLE t DROP COLUMN IF EXISTS x')).toEqual({
      table: 't',
      commands: ['DROP COLUMN IF EXISTS x']
    })
    expect(rewriteOf('ALTER TABLE t ADD COLUMN x Int8')).toBeUndefined()
  })
})
