import { describe, expect, it } from 'vitest'
import {
  canStream,
  formatOf,
  insertTarget,
  isMultiStatement,
  killTarget,
  kindOf,
  literal,
  withoutFormat,
  withoutTerminator
} from './statement.ts'

describe('isMultiStatement', () => {
  it.each([
    ['SELECT 1; SELECT 2', true],
    ['SELECT 1;SELECT 2;', true],
    ["SELECT ';' ; DROP TABLE t", true],
    ['SELECT 1 /* ; */ ; SELECT 2', true],
    ["SELECT 'a\\'; b'; SELECT 2", true],
    ['SELECT 1', false],
    ['SELECT 1;', false],
    ['SELECT 1; ;; -- the end\n', false],
    ["SELECT '; SELECT 2'", false],
    ['SELECT `a;b` FROM "c;d"', false],
    ['SELECT 1 -- ; SELECT 2', false],
    ['SELECT 1 # ; SELECT 2', false],
    ['SELECT 1 /* ; SELECT 2 */', false],
    ['SELECT 1 /*/ ; SELECT 2 */', false]
  ])('%s -> %s', (sql, expected) => {
    expect(isMultiStatement(sql)).toBe(expected)
  })
})

describe('kindOf', () => {
  it.each([
    ['-- note\n/* x */ SELECT 1', 'select'],
    ['with a as (select 1) select * from a', 'select'],
    ['(SELECT 1) UNION ALL (SELECT 2)', 'select'],
    ['  insert into t values', 'insert'],
    ["KILL QUERY WHERE query_id = 'x'", 'kill'],
    ['CREATE TABLE t (a Int32) ENGINE = Memory', 'other']
  ])('%s is %s', (sql, kind) => {
    expect(kindOf(sql)).toBe(kind)
  })
})

describe('insertTarget', () => {
  it('reads table, columns and format of the client’s own shape', () => {
    expect(insertTarget('INSERT INTO `app`.`events_raw` (`a`, b) FORMAT JSONEachRow')).toEqual({
      table: 'app.events_raw',
      columns: ['a', 'b'],
      format: 'JSONEachRow'
    })
    expect(insertTarget('insert into t format tsv')).toEqual({ table: 't', columns: undefined, format: 'TSV' })
  })

  it.each([
    'INSERT INTO t SELECT 1',
    'INSERT INTO t VALUES (1)',
    'INSERT INTO FUNCTION file() FORMAT CSV',
    'INSERT INTO t FORMAT Native'
  ])('leaves %s to the engine', (sql) => {
    expect(insertTarget(sql)).toBeUndefined()
  })
})

describe('formats', () => {
  it('are found and removed only at the end', () => {
    expect(formatOf("SELECT 'FORMAT CSV' FORMAT TSV")).toBe('TSV')
    expect(formatOf("SELECT 'FORMAT CSV'")).toBeUndefined()
    expect(withoutFormat('SELECT 1 FORMAT CSV ')).toBe('SELECT 1 ')
    expect(withoutTerminator('SELECT 1; -- bye')).toBe('SELECT 1')
  })

  it('stream line formats of selects only', () => {
    expect([
      canStream('SELECT 1', 'JSONEachRow'),
      canStream('SELECT 1', 'JSON'),
      canStream('SHOW TABLES', 'CSV')
    ]).toEqual([true, false, false])
  })
})

describe('literals and targets', () => {
  it('quote what would end the string', () => {
    expect(literal("a'b\\c")).toBe("'a\\'b\\\\c'")
  })

  it('find the query to kill', () => {
    expect(killTarget("KILL QUERY WHERE query_id = 'load:1' SYNC")).toBe('load:1')
    expect(killTarget('KILL QUERY WHERE user = 1')).toBeUndefined()
  })
})
