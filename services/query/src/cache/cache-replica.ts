// A replica of the cache's Redis to look answers up in. It may be late by any time, so it is only believed with an answer
// that is still good by its own time; everything else asks the master. While its link to the master is down, and for a
// second after it did not answer, nobody waits for it.
import { toError } from '@millrace/kernel'
import type { AppError, Clock } from '@millrace/kernel'
import { bindMetrics } from '@millrace/observability'
import type { BoundMetrics, Logger, Registry } from '@millrace/observability'
import { replicaMetrics } from '@millrace/stores/metrics'
import { createServerSet } from '@millrace/stores/server-set'
import type { LeftOut } from '@millrace/stores/server-set'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { parseRedisInfo } from '@millrace/stores/redis-info'

export interface CacheReplica extends AsyncDisposable {
  /** The values of `keys`; undefined when the replica is not to be asked now. Never throws. */
  get(keys: readonly string[]): Promise<readonly (Buffer | null)[] | undefined>
  /** Counts an answer by where it was found. */
  found(from: 'replica' | 'primary'): void
}

export interface CacheReplicaDeps {
  readonly redis: Pick<Redis, 'bytes' | 'command' | 'isCluster'>
  readonly clock: Clock
  readonly log: Pick<Logger, 'warn' | 'info'>
  readonly metrics: BoundMetrics<typeof replicaMetrics>
}

const everyMs = 1_000
/** A master greets its replicas every ten seconds. */
const longestSilenceS = 15

/** The replica of `url`; undefined without one. Throws PIPE_CONFIG_INVALID. */
export async function openCacheReplica(options: {
  readonly url: string
  readonly timeoutMs: number
  readonly registry: Registry
  readonly clock: Clock
  readonly log: Logger
  readonly onPolicyViolation: (error: AppError) => void
}): Promise<CacheReplica | undefined> {
  const { url, timeoutMs, registry, log, clock, onPolicyViolation } = options
  if (url === '') return undefined
  const common = { role: 'cache', requirePolicy: 'when-reachable', log, onPolicyViolation } as const
  await using opening = new AsyncDisposableStack()
  const redis = opening.use(await openRedis({ ...common, url, commandTimeoutMs: timeoutMs }))
  const metrics = bindMetrics(replicaMetrics, registry)
  const replica = opening.use(createCacheReplica({ redis, clock, log, metrics }))
  const opened = opening.move()
  return { ...replica, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

/** A replica over `redis`, which is checked every second until the value is disposed. */
export function createCacheReplica({ redis, clock, log, metrics }: CacheReplicaDeps): CacheReplica {
  const set = createServerSet({ store: 'redis', count: 1, atFirst: 'unchecked', log, metrics })
  const stop = new AbortController()

  const check = async (): Promise<LeftOut | undefined> => {
    // The nodes of a cluster tell each other.
    if (redis.isCluster) return await redis.command('PING').then(() => undefined)
    return judge(await redis.command('INFO', 'replication'))
  }
  const watch = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await check().then(
        (reason) => set.set(0, reason),
        (error: unknown) => set.set(0, 'away', error)
      )
      await clock.sleep(everyMs, stop.signal).catch(() => undefined)
    }
  }
  void watch()
  return {
    async get(keys) {
      if (set.leftOut(0) !== undefined) return undefined
      try {
        // A command with these keys answers with as many values.
        return (await redis.bytes('MGET', ...keys)) as readonly (Buffer | null)[]
      } catch (error) {
        set.set(0, 'failed', toError(error))
        return undefined
      }
    },
    found: (from) => metrics.reads.add(1, { store: 'redis', from }),
    [Symbol.asyncDispose]: async () => stop.abort()
  }
}

function judge(info: unknown): LeftOut | undefined {
  const fields = parseRedisInfo(info)
  if (fields.get('role') !== 'slave') return 'no_replica'
  const silentS = Number(fields.get('master_last_io_seconds_ago') ?? Number.POSITIVE_INFINITY)
  return fields.get('master_link_status') === 'up' && silentS <= longestSilenceS ? undefined : 'behind'
}
