import { describe, expect, it } from 'vitest'
import { toRedisError } from './redis-errors.ts'

const reply = (message: string): Error => Object.assign(new Error(message), { name: 'ReplyError' })

describe('toRedisError', () => {
  it.each([
    ['a full server', reply("OOM command not allowed when used memory > 'maxmemory'."), 'PIPE_REDIS_UNAVAILABLE'],
    ['a server that loads', reply('LOADING Redis is loading the dataset in memory'), 'PIPE_REDIS_UNAVAILABLE'],
    ['a replica', reply("READONLY You can't write against a read only replica."), 'PIPE_REDIS_UNAVAILABLE'],
    ['a cluster without a slot', reply('CLUSTERDOWN Hash slot not served'), 'PIPE_REDIS_UNAVAILABLE'],
    ['a forgotten script', reply('NOSCRIPT No matching script.'), 'PIPE_REDIS_UNAVAILABLE'],
    ['a wrong type', reply('WRONGTYPE Operation against a key'), 'PIPE_REDIS_REFUSED'],
    ['an unknown command', reply("ERR unknown command 'X'"), 'PIPE_REDIS_REFUSED'],
    ['a reply without a code', reply('user_script:1: oops'), 'PIPE_REDIS_REFUSED'],
    ['a timeout', new Error('Command timed out'), 'PIPE_REDIS_UNAVAILABLE'],
    ['a closed connection', new Error('Connection is closed.'), 'PIPE_REDIS_UNAVAILABLE'],
    ['what is no error', undefined, 'PIPE_REDIS_UNAVAILABLE']
  ])('%s', (_what, thrown, code) => {
    expect(toRedisError(thrown, 'test').code).toBe(code)
  })

  it('names the code of a reply', () => {
    expect(toRedisError(reply('OOM full'), 'SET').details).toEqual({ reply: 'OOM' })
  })
})
