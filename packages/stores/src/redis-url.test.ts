import { describe, expect, it } from 'vitest'
import { parseRedisUrl } from './redis-url.ts'

describe('parseRedisUrl', () => {
  it.each([
    ['redis://localhost', { kind: 'single', host: 'localhost', port: 6379, db: 0, tls: false }],
    ['redis://127.0.0.1:7000/3', { kind: 'single', host: '127.0.0.1', port: 7000, db: 3, tls: false }],
    ['rediss://h/', { kind: 'single', host: 'h', port: 6379, db: 0, tls: true }],
    ['redis://[::1]:7000', { kind: 'single', host: '::1', port: 7000, db: 0, tls: false }],
    [
      'redis://app:p%40ss%3A@h:1/2',
      { kind: 'single', host: 'h', port: 1, db: 2, tls: false, username: 'app', password: 'p@ss:' }
    ],
    ['redis://:only@h', { kind: 'single', host: 'h', port: 6379, db: 0, tls: false, password: 'only' }],
    [
      'redis+cluster://u:p@a:1,b:2,c?tls=true',
      {
        kind: 'cluster',
        hosts: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
          { host: 'c', port: 6379 }
        ],
        replicas: false,
        tls: true,
        username: 'u',
        password: 'p'
      }
    ],
    [
      'redis+sentinel://a,b:2/main?db=4&replicas=true',
      {
        kind: 'sentinel',
        hosts: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 2 }
        ],
        master: 'main',
        replicas: true,
        db: 4,
        tls: false
      }
    ]
  ])('%s', (url, target) => {
    expect(parseRedisUrl(url)).toEqual(target)
  })

  it.each([
    ['http://h', 'is not redis://'],
    ['redis://', 'is not redis://'],
    ['redis://a,b', 'names several hosts'],
    ['redis://h/x', 'a database that is not a number'],
    ['redis://h:0', 'not name:port'],
    ['redis://h:65536', 'not name:port'],
    ['redis://h:x', 'not name:port'],
    ['redis+cluster://a/1', 'a cluster has only one'],
    ['redis+sentinel://a', 'names no master'],
    ['redis://%zz@h', 'broken percent escape']
  ])('refuses %s', (url, problem) => {
    expect(() => parseRedisUrl(url)).toThrow(expect.objectContaining({ code: 'PIPE_CONFIG_INVALID' }))
    expect(() => parseRedisUrl(url)).toThrow(problem)
  })

  it('never quotes a password', () => {
    expect(() => parseRedisUrl('redis://user:geheim@h/x')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('geheim') })
    )
  })
})
