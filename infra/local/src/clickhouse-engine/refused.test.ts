import { describe, expect, it } from 'vitest'
import { refusalOf } from './refused.ts'

const code = (sql: string, readonly = '1', isKill = false): number | undefined =>
  refusalOf({ readonly }, sql, isKill)?.code

describe('in readonly mode', () => {
  it.each([
    "SELECT 1 SETTINGS log_comment = ''",
    "SELECT * FROM (SELECT * FROM t SETTINGS log_comment='')",
    "SELECT * FROM (SELECT * FROM t settings/**/log_comment='')",
    "SELECT * FROM (SELECT * FROM t SETTINGS -- x\n log_comment\n = '')",
    "SELECT * FROM (SELECT * FROM t SETTINGS\u00a0log_comment='')",
    "SELECT * FROM (SELECT * FROM t SETTINGS`log_comment`='')",
    'SELECT * FROM (SELECT * FROM t SETTINGS"log_comment"=\'\')',
    'SELECT * FROM (SELECT * FROM t SETTINGS\u201clog_comment\u201d=1)',
    "SELECT * FROM (SELECT * FROM t SETTINGS max_threads = 1, log_comment='')",
    "SELECT 'a', (SELECT 1 SETTINGS a = 1) AS \"'\""
  ])('a SETTINGS clause is refused wherever it stands: %s', (sql) => expect(code(sql)).toBe(164))

  it.each([
    "SELECT count() FROM t WHERE eventType = 'settings' AND a = 1",
    'SELECT properties.settings AS s FROM t WHERE s = 1',
    'SELECT count() AS settings, max(a) AS b FROM t WHERE b = 1',
    "SELECT getSetting('log_comment') = ''",
    'SELECT settings = 1 FROM t'
  ])('a thing that is only called settings is not: %s', (sql) => expect(code(sql)).toBeUndefined())

  it.each([
    "SELECT dictGet('identity_devices', 'userId', toUInt64(1))",
    "SELECT DICTGETOrDefault /* */ ('identity_devices', 'userId', toUInt64(1), '')",
    "SELECT `dictHas`('identity_devices', toUInt64(1))",
    "SELECT `\\x64ict\\x47et`('identity_devices', 'userId', toUInt64(1))"
  ])('a dictionary is not granted: %s', (sql) => {
    expect(code(sql)).toBe(497)
    expect(code(sql, '0')).toBeUndefined()
  })

  it('a query cannot be killed', () => {
    expect(code("KILL QUERY WHERE query_id = 'x'", '1', true)).toBe(164)
    expect(code("KILL QUERY WHERE query_id = 'x'", '2', true)).toBe(164)
    expect(code("KILL QUERY WHERE query_id = 'x'", '0', true)).toBeUndefined()
  })
})

it('a request that may write may change settings, and no request may write a file of the server', () => {
  expect(code('SELECT 1 SETTINGS max_threads = 1', '0')).toBeUndefined()
  expect(code('SELECT 1 SETTINGS max_threads = 1', '2')).toBeUndefined()
  for (const readonly of ['0', '1', '2']) expect(code("SELECT 1 INTO /* */ OUTFILE '/tmp/x'", readonly)).toBe(358)
})
