// A client behind a sentinel whose master freezes: its connections stay open, and nobody answers on them.
import { expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { eventually } from '@millrace/testkit/eventually'
import { openOwnSentinel } from '@millrace/testkit/own-sentinel'
import { openRedis } from '../src/redis.ts'

it('follows the sentinel to the new master when the old one froze, and stays there when that wakes up', async () => {
  await using sentinel = await openOwnSentinel()
  const { url, master, replica } = sentinel
  const log = createSilentLogger()
  await using redis = await openRedis({ url, role: 'dedup', log, requirePolicy: 'now', commandTimeoutMs: 200 })
  const port = async (): Promise<string> => String(((await redis.command('CONFIG', 'GET', 'port')) as string[])[1])
  expect(await port()).toBe(String(master.port))
  await redis.command('SET', 'a', 1)
  await redis.command('WAIT', 1, 2_000)
  master.pause()
  await expect(redis.command('GET', 'a')).rejects.toMatchObject({ code: 'PIPE_REDIS_UNAVAILABLE' })
  await sentinel.failedOver()
  await eventually('the client is at the new master', async () => (await port()) === String(replica.port))
  expect(await redis.command('INCR', 'a')).toBe(2)
  master.resume()
  expect(await redis.command('INCR', 'a')).toBe(3)
  expect(await port()).toBe(String(replica.port))
})
