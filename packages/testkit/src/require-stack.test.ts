import { describe, expect, it } from 'vitest'
import { addressesIn } from './require-stack.ts'

describe('addressesIn', () => {
  it('finds every address once, in URLs, lists and alone', () => {
    const text = JSON.stringify({
      kafka: '127.0.0.1:1,127.0.0.1:2',
      redis: { dedup: 'redis://127.0.0.1:3/0', state: 'redis://127.0.0.1:3/1' },
      postgres: 'postgres://user:secret@localhost:4/test',
      objects: 'file:/tmp/12:30',
      pid: 5
    })
    expect(addressesIn(text).map(({ host, port }) => `${host}:${port}`)).toEqual([
      '127.0.0.1:1',
      '127.0.0.1:2',
      '127.0.0.1:3',
      'localhost:4'
    ])
  })
})
