// A redis-server of a test's own in cluster mode with all slots, where a script that touches a key of another slot fails.
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { eventually } from '@millrace/testkit/eventually'
import { openOwnRedis } from '@millrace/testkit/own-redis'

/** Starts it and opens a client; both end with `stack`. */
export async function openOwnStateRedis(stack: AsyncDisposableStack): Promise<Redis> {
  const server = stack.use(await openOwnRedis(['--cluster-enabled', 'yes', '--appendonly', 'yes']))
  const options = { url: server.url, role: 'state', log: createSilentLogger(), commandTimeoutMs: 5_000 } as const
  const redis = stack.use(await openRedis({ ...options, requirePolicy: 'now' }))
  await redis.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
  await eventually('the cluster is up', async () => String(await redis.command('CLUSTER', 'INFO')).includes('state:ok'))
  return redis
}
