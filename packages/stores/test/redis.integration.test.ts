import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AppError } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { unique } from '@millrace/testkit/unique'
import { defineScript } from '../src/redis-script.ts'
import { openRedis } from '../src/redis.ts'
import type { Redis, RedisOptions } from '../src/redis.ts'

const stack = new AsyncDisposableStack()
const prefix = unique('redis-test')
let redis: Redis

const open = async (options: Partial<RedisOptions> = {}): Promise<Redis> =>
  await openRedis({
    url: testEndpoints().REDIS_DEDUP_URL,
    role: 'dedup',
    log: createSilentLogger(),
    requirePolicy: 'now',
    commandTimeoutMs: 2_000,
    ...options
  })

beforeAll(async () => {
  redis = stack.use(await open())
})
afterAll(async () => {
  await redis.command('DEL', `${prefix}:a`, `${prefix}:n`, `${prefix}:list`)
  await stack.disposeAsync()
})

describe('openRedis', () => {
  it('opens each role on the server made for it', async () => {
    const { REDIS_STATE_URL, REDIS_CACHE_URL } = testEndpoints()
    await using state = await open({ url: REDIS_STATE_URL, role: 'state' })
    await using cache = await open({ url: REDIS_CACHE_URL, role: 'cache' })
    expect([redis.policyChecked(), state.policyChecked(), cache.policyChecked()]).toEqual([true, true, true])
  })

  it('refuses a server of another role, at once or when it is reached', async () => {
    const url = testEndpoints().REDIS_CACHE_URL
    await expect(open({ url })).rejects.toMatchObject({ code: 'PIPE_REDIS_POLICY' })
    const violation = Promise.withResolvers<AppError>()
    await using late = await open({ url, requirePolicy: 'when-reachable', onPolicyViolation: violation.resolve })
    expect((await violation.promise).details).toMatchObject({ role: 'dedup', found: 'allkeys-lru' })
    expect(late.policyChecked()).toBe(false)
  })

  it('sends commands and pipelines, each reply of a pipeline with its own error', async () => {
    expect(await redis.command('SET', `${prefix}:a`, 'x', 'PX', 60_000)).toBe('OK')
    expect(await redis.pipeline([])).toEqual([])
    const replies = await redis.pipeline([
      ['GET', `${prefix}:a`],
      ['LPUSH', `${prefix}:a`, 'y'],
      ['GET', `${prefix}:missing`]
    ])
    expect(replies.map((reply) => (reply.ok ? reply.value : reply.error.code))).toEqual([
      'x',
      'PIPE_REDIS_REFUSED',
      null
    ])
  })

  it('does not take a pause of its own process for silence of Redis', async () => {
    await using impatient = await open({ commandTimeoutMs: 50 })
    const pause = (): void => {
      const endMs = performance.now() + 100
      while (performance.now() < endMs);
    }
    for (let round = 0; round < 5; round++) {
      const replies = Promise.all([impatient.command('PING'), impatient.pipeline([['PING']])])
      setImmediate(pause)
      expect(await replies).toEqual(['PONG', [{ ok: true, value: 'PONG' }]])
    }
  })

  it('fails a command at once while nothing listens, and starts all the same when told to', async () => {
    const url = 'redis://127.0.0.1:1'
    await expect(open({ url })).rejects.toMatchObject({ code: 'PIPE_REDIS_UNAVAILABLE' })
    await using degraded = await open({ url, requirePolicy: 'when-reachable' })
    const before = performance.now()
    await expect(degraded.ping()).rejects.toMatchObject({ code: 'PIPE_REDIS_UNAVAILABLE' })
    expect(await degraded.pipeline([['PING']])).toMatchObject([
      { ok: false, error: { code: 'PIPE_REDIS_UNAVAILABLE' } }
    ])
    // Neither waited for the time of a command, which is two seconds here.
    expect(performance.now() - before).toBeLessThan(2_000)
    expect(degraded.policyChecked()).toBe(false)
  })

  it('gives up on a server that does not answer after the time of a command', async () => {
    const mute = createServer((socket) => socket.on('error', () => undefined).resume())
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
    const url = `redis://127.0.0.1:${(mute.address() as AddressInfo).port}`
    const before = performance.now()
    await expect(open({ url, commandTimeoutMs: 100 })).rejects.toMatchObject({ code: 'PIPE_REDIS_UNAVAILABLE' })
    expect(performance.now() - before).toBeLessThan(8_000)
    mute.close()
  })

  it('comes back by itself after its connection was cut', async () => {
    await using victim = await open()
    const id = await victim.command('CLIENT', 'ID')
    await redis.command('CLIENT', 'KILL', 'ID', String(id))
    await eventually('a ping succeeds again', async () => {
      await victim.ping()
      return true
    })
    await eventually('the policy is checked again', () => victim.policyChecked())
  })
})

describe('defineScript', () => {
  const add = `return redis.call('INCRBY', KEYS[1], ARGV[1])`
  const call = (amount: number) => ({ keys: [`${prefix}:n`], args: [amount] })

  it('runs one call and many, and again after the server forgot the script', async () => {
    const script = defineScript(redis, add, Number)
    expect(await script.run(call(1))).toBe(1)
    await redis.command('SCRIPT', 'FLUSH', 'SYNC')
    expect(await script.run(call(2))).toBe(3)
    await redis.command('SCRIPT', 'FLUSH', 'SYNC')
    const outcomes = await script.runAll([call(1), call(1), call(5)])
    expect(outcomes).toEqual([
      { ok: true, value: 4 },
      { ok: true, value: 5 },
      { ok: true, value: 10 }
    ])
  })

  it('reports the call that failed and no other', async () => {
    await redis.command('RPUSH', `${prefix}:list`, 'x')
    const script = defineScript(redis, add, Number)
    const [first, second] = await script.runAll([{ keys: [`${prefix}:list`], args: [1] }, call(1)])
    expect(first).toMatchObject({ ok: false, error: { code: 'PIPE_REDIS_REFUSED' } })
    expect(second).toEqual({ ok: true, value: 11 })
  })
})
