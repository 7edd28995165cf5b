// What may happen to the Redis of the live state: it dies and loses the end of its log, it comes back as it was a while
// ago, it forgets everything, it is full.
import { cp, readdir, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { layout } from '@millrace/local-stack/layout'
import type { Stack } from '@millrace/local-stack/stack'
import type { Redis } from '@millrace/stores/redis'
import { eventually } from '../../eventually.ts'

const part = 'redis-state'

export interface RedisFault {
  /** Kills it, cuts `bytes` off the end of its log, and starts it again. */
  killAndCut(bytes: number): Promise<void>
  /** Copies its files while it runs; `rollBack` brings this state back. */
  remember(): Promise<void>
  /** Kills it and starts it again with the files of `remember`. */
  rollBack(): Promise<void>
  /** Runs `work` with no memory left for writes. */
  whileFull(work: () => Promise<void>): Promise<void>
}

/** The faults of the state Redis of `stack`; copies go to `folder`. */
export function createRedisFault(stack: Stack, redis: Redis, folder: string): RedisFault {
  const files = layout.part(stack.dataDir, part)
  const copy = join(folder, 'redis-copy')
  const log = join(files, 'appendonlydir')
  const start = async (): Promise<void> => {
    await stack.restart(part)
    await eventually('the client is connected again', () => redis.ping().then(() => true))
  }
  return {
    async killAndCut(bytes) {
      stack.kill(part, 'SIGKILL')
      await stack.stopPart(part)
      const names = (await readdir(log)).filter((name) => name.endsWith('.incr.aof')).toSorted()
      const last = join(log, names.at(-1) ?? '')
      const { size } = await stat(last)
      await truncate(last, Math.max(0, size - bytes))
      await start()
    },
    async remember() {
      await rm(copy, { recursive: true, force: true })
      await cp(log, copy, { recursive: true })
    },
    async rollBack() {
      stack.kill(part, 'SIGKILL')
      await stack.stopPart(part)
      await rm(log, { recursive: true })
      await cp(copy, log, { recursive: true })
      await start()
    },
    async whileFull(work) {
      const [, limit] = (await redis.command('CONFIG', 'GET', 'maxmemory')) as readonly [string, string]
      await redis.command('CONFIG', 'SET', 'maxmemory', '1')
      try {
        await work()
      } finally {
        await redis.command('CONFIG', 'SET', 'maxmemory', limit)
      }
    }
  }
}
