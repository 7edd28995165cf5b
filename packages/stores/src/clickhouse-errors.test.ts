import { describe, expect, it } from 'vitest'
import { toClickhouseError, toReplyError } from './clickhouse-errors.ts'

const server = (code: string, type = 'X'): Error => Object.assign(new Error('server says no'), { code, type })

describe('toClickhouseError', () => {
  it.each([
    ['unparsable rows', '27', 'PIPE_CLICKHOUSE_REFUSED', 'PIPE_CLICKHOUSE_QUERY'],
    ['an unknown field', '117', 'PIPE_CLICKHOUSE_REFUSED', 'PIPE_CLICKHOUSE_QUERY'],
    ['a broken constraint', '469', 'PIPE_CLICKHOUSE_REFUSED', 'PIPE_CLICKHOUSE_QUERY'],
    ['too many parts', '252', 'PIPE_CLICKHOUSE_UNAVAILABLE', 'PIPE_CLICKHOUSE_QUERY'],
    ['the memory limit', '241', 'PIPE_CLICKHOUSE_UNAVAILABLE', 'PIPE_CLICKHOUSE_QUERY'],
    ['the time limit', '159', 'PIPE_CLICKHOUSE_UNAVAILABLE', 'PIPE_CLICKHOUSE_QUERY'],
    ['a missing table', '60', 'PIPE_CLICKHOUSE_UNAVAILABLE', 'PIPE_CLICKHOUSE_QUERY'],
    ['a read-only table', '242', 'PIPE_CLICKHOUSE_UNAVAILABLE', 'PIPE_CLICKHOUSE_UNAVAILABLE'],
    ['a used up quota', '201', 'PIPE_CLICKHOUSE_UNAVAILABLE', 'PIPE_CLICKHOUSE_UNAVAILABLE'],
    ['too many queries', '202', 'PIPE_CLICKHOUSE_UNAVAILABLE', 'PIPE_CLICKHOUSE_UNAVAILABLE'],
    ['a wrong password', '516', 'PIPE_CLICKHOUSE_UNAVAILABLE', 'PIPE_CLICKHOUSE_UNAVAILABLE'],
    ['a code nobody listed', '1999', 'PIPE_CLICKHOUSE_UNAVAILABLE', 'PIPE_CLICKHOUSE_QUERY'],
    ['a refused connection', 'ECONNREFUSED', 'PIPE_CLICKHOUSE_UNAVAILABLE', 'PIPE_CLICKHOUSE_UNAVAILABLE']
  ])('%s: of an insert and of a query', (_what, code, insert, query) => {
    expect(toClickhouseError(server(code), 'insert', 'test').code).toBe(insert)
    expect(toClickhouseError(server(code), 'query', 'test').code).toBe(query)
  })

  it('takes a failure without a code for a server that is away', () => {
    expect(toClickhouseError(new Error('Timeout error.'), 'query', 'test').code).toBe('PIPE_CLICKHOUSE_UNAVAILABLE')
    expect(toClickhouseError(7, 'insert', 'test').code).toBe('PIPE_CLICKHOUSE_UNAVAILABLE')
  })

  it('names what happened to the connection', () => {
    expect(toClickhouseError(server('ECONNREFUSED'), 'query', 'test').details).toMatchObject({ errno: 'ECONNREFUSED' })
  })

  it('names number and type', () => {
    expect(toClickhouseError(server('60', 'UNKNOWN_TABLE'), 'query', 'test').details).toEqual({
      code: 60,
      type: 'UNKNOWN_TABLE'
    })
  })
})

describe('toReplyError', () => {
  it('reads number, type and message of the server', () => {
    const body = "Code: 62. DB::Exception: Syntax error: failed at 'x'. (SYNTAX_ERROR) (version 26.7.2.1)\n"
    expect(toReplyError(400, body)).toMatchObject({
      code: '62',
      type: 'SYNTAX_ERROR',
      message: "Syntax error: failed at 'x'. "
    })
  })

  it.each([
    [414, 'PIPE_CLICKHOUSE_QUERY'],
    [431, 'PIPE_CLICKHOUSE_QUERY'],
    [413, 'PIPE_CLICKHOUSE_QUERY'],
    [400, 'PIPE_CLICKHOUSE_QUERY'],
    [404, 'PIPE_CLICKHOUSE_UNAVAILABLE'],
    [429, 'PIPE_CLICKHOUSE_UNAVAILABLE'],
    [502, 'PIPE_CLICKHOUSE_UNAVAILABLE'],
    [503, 'PIPE_CLICKHOUSE_UNAVAILABLE']
  ])('takes a reply of %i without a number for %s', (status, code) => {
    expect(toClickhouseError(toReplyError(status, '<html>no</html>'), 'query', 'test').code).toBe(code)
  })
})
