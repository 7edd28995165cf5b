import { describe, expect, it } from 'vitest'
import { readOptions } from './request-options.ts'

const plain = { form: 'json', priority: 'normal', timeoutMs: undefined, use: 'cache', allowStale: true }

describe('options of a request', () => {
  it.each([
    [{}, {}],
    [{ accept: 'text/csv' }, { form: 'csv' }],
    [{ accept: 'application/x-ndjson' }, { form: 'ndjson' }],
    [{ accept: 'text/csv;q=0.5, application/json' }, { form: 'json' }],
    [{ accept: 'text/html, */*;q=0.1, text/csv;q=0.2' }, { form: 'csv' }],
    [{ accept: 'image/png' }, { form: 'json' }],
    [{ accept: 'text/csv;q=0' }, { form: 'json' }],
    [{ 'x-priority': 'Background' }, { priority: 'background' }],
    [{ 'x-timeout-ms': '250' }, { timeoutMs: 250 }],
    [{ 'cache-control': 'no-cache' }, { use: 'anew' }],
    [{ 'cache-control': 'no-cache, no-store' }, { use: 'apart' }],
    [{ 'cache-control': 'stale-if-error=0' }, { allowStale: false }],
    [{ 'cache-control': 'stale-if-error=60' }, {}]
  ])('of %j', (headers, options) => {
    expect(readOptions(headers)).toEqual({ ok: true, options: { ...plain, ...options } })
  })

  it.each([{ 'x-priority': 'urgent' }, { 'x-timeout-ms': '0' }, { 'x-timeout-ms': '1s' }])('refuses %j', (headers) => {
    expect(readOptions(headers)).toMatchObject({ ok: false })
  })
})
