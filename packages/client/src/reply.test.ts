import { describe, expect, it } from 'vitest'
import { readBatch, readSingle } from './reply.ts'

const unexpected = { kind: 'retry', code: 'unexpected_reply' }

describe('readSingle', () => {
  it.each([
    ['202 accepted', 202, { status: 'accepted', eventId: 'a' }, { kind: 'accepted' }],
    ['a duplicate with any status of success', 200, { status: 'duplicate', eventId: 'a' }, { kind: 'duplicate' }],
    ['409', 409, { status: 'duplicate', eventId: 'a' }, { kind: 'duplicate' }],
    ['409 without a body', 409, undefined, { kind: 'duplicate' }],
    ['202 for another event', 202, { status: 'accepted', eventId: 'b' }, unexpected],
    ['a page of somebody else', 200, undefined, unexpected],
    ['202 that does not say accepted', 202, { ok: true }, unexpected],
    ['a redirect that was not followed', 302, undefined, unexpected],
    ['429', 429, { code: 'rate_limited' }, { kind: 'retry', code: 'rate_limited' }],
    ['500 without a body', 500, undefined, { kind: 'retry', code: 'http_500' }],
    ['502 of a proxy', 502, 'Bad Gateway', { kind: 'retry', code: 'http_502' }],
    ['503 in progress', 503, { status: 503, code: 'in_progress' }, { kind: 'retry', code: 'in_progress' }],
    ['408', 408, undefined, { kind: 'retry', code: 'http_408' }],
    ['no reply', 0, { code: 'network' }, { kind: 'retry', code: 'network' }],
    ['400', 400, { code: 'invalid_json' }, { kind: 'rejected', code: 'invalid_json', pointer: undefined }],
    ['401', 401, { code: 'unauthorized' }, { kind: 'rejected', code: 'unauthorized', pointer: undefined }],
    ['404', 404, undefined, { kind: 'rejected', code: 'http_404', pointer: undefined }],
    ['422', 422, { code: 'invalid_field', pointer: '/x' }, { kind: 'rejected', code: 'invalid_field', pointer: '/x' }]
  ])('%s', (_name, status, body, verdict) => {
    expect(readSingle(status, body, 'a')).toEqual(verdict)
  })
})

describe('readBatch', () => {
  const ids = ['a', 'b', 'c']

  it.each([202, 207, 422, 429, 503])('takes the items at their word whatever the status is: %i', (status) => {
    const items = [
      { eventId: 'a', status: 'accepted' },
      { eventId: 'b', status: 'rejected', code: 'missing_field', pointer: '/eventType' },
      { eventId: 'c', status: 'retry', code: 'in_progress' }
    ]
    expect(readBatch(status, { items }, ids)).toEqual([
      { kind: 'accepted' },
      { kind: 'rejected', code: 'missing_field', pointer: '/eventType' },
      { kind: 'retry', code: 'in_progress' }
    ])
  })

  it.each([
    [503, { code: 'unavailable' }, { kind: 'retry', code: 'unavailable' }],
    [429, undefined, { kind: 'retry', code: 'http_429' }],
    [401, { code: 'unauthorized' }, { kind: 'rejected', code: 'unauthorized', pointer: undefined }],
    [202, { status: 'accepted' }, unexpected],
    [207, { items: 'none' }, unexpected]
  ])('gives every event the verdict of a reply without items: %i', (status, body, verdict) => {
    expect(readBatch(status, body, ids)).toEqual([verdict, verdict, verdict])
  })

  it('finds an event whose item is at another place, and sends again one that has none', () => {
    const items = [
      { eventId: 'c', status: 'duplicate' },
      { eventId: 'a', status: 'accepted' }
    ]
    expect(readBatch(207, { items }, ids)).toEqual([{ kind: 'accepted' }, unexpected, { kind: 'duplicate' }])
  })

  it('takes an item without an id for the event at its place, if there is one item for each', () => {
    const items = [{ status: 'accepted' }, { status: 'rejected' }, { status: 'retry' }]
    expect(readBatch(207, { items }, ids)).toEqual([
      { kind: 'accepted' },
      { kind: 'rejected', code: 'rejected', pointer: undefined },
      { kind: 'retry', code: 'retry' }
    ])
    expect(readBatch(207, { items: items.slice(0, 2) }, ids)).toEqual([unexpected, unexpected, unexpected])
  })

  it('gives two events of one id the items at their places', () => {
    const items = [
      { eventId: 'a', status: 'accepted' },
      { eventId: 'a', status: 'duplicate' }
    ]
    expect(readBatch(202, { items }, ['a', 'a'])).toEqual([{ kind: 'accepted' }, { kind: 'duplicate' }])
  })

  it.each([null, 7, 'stored', { status: 'stored' }])('sends again what it does not understand: %j', (item) => {
    expect(readBatch(202, { items: [item] }, ['a'])).toEqual([unexpected])
  })
})
