import { describe, expect, it } from 'vitest'
import { parseRequest } from './request.ts'

const request = (url: string, options: { method?: string; headers?: Record<string, string>; body?: string } = {}) =>
  parseRequest(
    { method: options.method ?? 'POST', url, headers: options.headers ?? {} },
    Buffer.from(options.body ?? ''),
    'fresh'
  )

describe('parseRequest', () => {
  it('takes the statement from the body, and rows from the body when the statement is in the URL', () => {
    expect(request('/', { body: 'SELECT 1' })).toMatchObject({ sql: 'SELECT 1', data: undefined, queryId: 'fresh' })
    const insert = request('/?query=INSERT%20INTO%20t%20FORMAT%20CSV&query_id=q1', { body: '1\n' })
    expect([insert.sql, insert.data?.toString(), insert.queryId]).toEqual(['INSERT INTO t FORMAT CSV', '1\n', 'q1'])
  })

  it('tells settings and bound values from the words of the protocol', () => {
    const { settings, logComment, readonly, database } = request(
      '/?database=app&max_execution_time=1&param_p=x&log_comment=demo:1&readonly=1&wait_end_of_query=1&a-b=1'
    )
    expect(settings).toEqual([
      ['max_execution_time', '1'],
      ['param_p', 'x']
    ])
    expect([logComment, readonly, database]).toEqual(['demo:1', '1', 'app'])
  })

  it('makes a GET readonly unless it says otherwise', () => {
    expect(request('/?query=SELECT%201', { method: 'GET' }).readonly).toBe('2')
    expect(request('/?query=SELECT%201').readonly).toBe('0')
  })

  it('reads credentials from Basic, from the headers of the protocol, or from the URL', () => {
    const basic = `Basic ${Buffer.from('ann:a:b').toString('base64')}`
    expect(request('/', { headers: { authorization: basic } })).toMatchObject({ user: 'ann', password: 'a:b' })
    expect(request('/', { headers: { 'x-clickhouse-user': 'bob', 'x-clickhouse-key': 'k' } })).toMatchObject({
      user: 'bob',
      password: 'k'
    })
    expect(request('/?user=eve&password=p')).toMatchObject({ user: 'eve', password: 'p' })
    expect(request('/')).toMatchObject({ user: 'default', password: '' })
  })

  it('compresses the answer only when both sides ask for it', () => {
    const headers = { 'accept-encoding': 'gzip, deflate' }
    expect(request('/?enable_http_compression=1', { headers }).acceptsGzip).toBe(true)
    expect(request('/', { headers }).acceptsGzip).toBe(false)
  })
})
