// D-dedup: the lease of the gateway, reserve and mark, against pipelined SET NX PX and SET EX: ids a second, CPU of client
// and of Redis, and bytes of Redis per id.
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { openBenchStack } from '../bench-stack.ts'
import { loopVariant, startLoopChild } from '../loop-child.ts'
import type { LoopChild } from '../loop-child.ts'
import type { Finding } from '../result.ts'
import type { DedupTask } from '../references/dedup-loop.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

export const dDedup: Suite = {
  name: 'd-dedup',
  about: 'the lease, reserve and mark, against pipelined SET NX PX and SET EX',
  comparisons: [
    { variant: 'lease', reference: 'set nx', by: 'speed', goal: 2, floor: 1.4 },
    { variant: 'lease', reference: 'set nx', goal: 8.3, floor: 5 },
    { variant: 'lease, redis', reference: 'set nx, redis', goal: 0.625, floor: 0.4 }
  ],
  open
}

const lease: DedupTask = { how: 'lease' }
const setNx: DedupTask = { how: 'set-nx' }
const sizingMs = 4_000

async function open(_settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { REDIS_DEDUP_URL: url } = stack.endpoints
  const child = opening.use(await startLoopChild<DedupTask>('references/dedup-loop.ts', { REDIS_DEDUP_URL: url }))
  const options = {
    url,
    role: 'dedup',
    log: createSilentLogger(),
    requirePolicy: 'now',
    commandTimeoutMs: 5_000
  } as const
  const redis = opening.use(await openRedis(options))
  const server = [stack.pidOf('redis-dedup')]
  const opened = opening.move()
  return {
    variants: [
      loopVariant('lease', child, lease),
      loopVariant('set nx', child, setNx),
      loopVariant('lease, redis', child, lease, server),
      loopVariant('set nx, redis', child, setNx, server)
    ],
    otherPids: () => [...stack.pids(), child.pid],
    versions: stack.versions,
    settings: { idsPerCall: 500, shards: 1 },
    findings: () => sizes(redis, child),
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** Bytes of Redis per id that is marked, from an empty Redis on. */
async function sizes(redis: Redis, child: LoopChild<DedupTask>): Promise<readonly Finding[]> {
  const bytesPerId = async (task: DedupTask): Promise<number> => {
    await redis.command('FLUSHALL', 'SYNC')
    const before = await usedBytes(redis)
    const { events } = await child.run(task, sizingMs)
    return ((await usedBytes(redis)) - before) / events
  }
  const byLease = await bytesPerId(lease)
  const bySetNx = await bytesPerId(setNx)
  return [
    { name: 'lease, bytes per id', value: byLease, unit: 'bytes' },
    { name: 'set nx, bytes per id', value: bySetNx, unit: 'bytes' },
    { name: 'lease / set nx, bytes per id', value: byLease / bySetNx, unit: 'x', goal: 0.5, ceiling: 0.7 }
  ]
}

async function usedBytes(redis: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(String(await redis.command('INFO', 'memory')))?.[1])
}
