// The parts of the query service put together: two lanes to the warehouse, breakers, the cache. Wiring only.
import type { ConfigOf } from '@millrace/config'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { createBreaker } from '@millrace/stores/breaker'
import type { Breaker, BreakerOptions, BreakerState } from '@millrace/stores/breaker'
import type { ClickhouseReader } from '@millrace/stores/clickhouse-replicas'
import type { Redis } from '@millrace/stores/redis'
import { createSharedBuckets } from '@millrace/stores/shared-buckets'
import { createBulkhead } from './bulkhead.ts'
import type { Bulkhead, BulkheadOptions } from './bulkhead.ts'
import { createByteBudget } from './byte-budget.ts'
import { createAnswerCache } from './cache/answer-cache.ts'
import type { AnswerCache } from './cache/answer-cache.ts'
import { createAnswers } from './cache/answers.ts'
import type { CacheReplica } from './cache/cache-replica.ts'
import type { Answers } from './cache/answers.ts'
import { createLocalAnswers } from './cache/local-answers.ts'
import { cacheTimes, queryLimits } from './config.ts'
import type { querySpec } from './config.ts'
import { createEngine } from './engine.ts'
import type { Engine } from './engine.ts'
import type { queryMetrics } from './metrics.ts'
import { createQueryRunner } from './run-query.ts'
import { createScanBudget } from './scan-budget.ts'

export interface ServiceDeps {
  readonly config: ConfigOf<typeof querySpec>
  readonly clickhouse: ClickhouseReader
  /** Of the cache role. */
  readonly redis: Redis
  /** Where cached answers are looked up first. */
  readonly cacheReplica?: CacheReplica | undefined
  readonly metrics: BoundMetrics<typeof queryMetrics>
  readonly log: Logger
  readonly clock: Clock
}

export interface QueryService extends Disposable {
  /** Queries of clients. */
  readonly engine: Engine
  /** The lane of metrics, so that a flood of queries does not keep them waiting. */
  readonly metricsEngine: Engine
  readonly cache: AnswerCache
  readonly answers: Answers
  readonly breakers: { readonly cache: Breaker; readonly warehouse: Breaker; readonly live: Breaker }
}

/** Whoever makes an answer and died is waited for so long. */
const lockMs = 3_000

/** Everything between the routes and the stores. */
export function createQueryService(deps: ServiceDeps): QueryService {
  const { config, clickhouse, redis, metrics, log, clock } = deps
  const breakerOf = (name: 'cache' | 'warehouse' | 'live', over: Partial<BreakerOptions>): Breaker => {
    const show = (state: BreakerState): void => metrics.breaker.set(stateNumbers[state], { breaker: name })
    show('closed')
    return createBreaker({
      name,
      resetMs: config.BREAKER_RESET_MS,
      judge,
      onCall: (outcome) => metrics.breakerCalls.add(1, { breaker: name, outcome }),
      onChange: (state) => {
        log[state === 'open' ? 'warn' : 'info']({ breaker: name, state }, 'breaker changed')
        show(state)
      },
      ...over
    })
  }
  const breakers = {
    cache: breakerOf('cache', {}),
    // A query has a deadline of its own, and few are asked in a minute.
    warehouse: breakerOf('warehouse', { timeoutMs: false, volumeThreshold: 5 }),
    live: breakerOf('live', {})
  }
  const budget = createByteBudget({
    bytes: config.QUERY_BYTES_AT_ONCE,
    waitMs: config.QUERY_QUEUE_MS,
    clock,
    onChange: (held) => metrics.bytesHeld.set(held)
  })
  const runner = createQueryRunner(clickhouse, queryLimits(config), clock, budget, config.QUERY_TIMEOUT_MS)
  const { QUERY_SCAN_BYTES_PER_SECOND: bytesPerSecond, QUERY_SCAN_BURST_BYTES: burstBytes } = config
  const scans = createScanBudget({
    rate: bytesPerSecond === 0 ? undefined : { bytesPerSecond, burstBytes },
    shared: createSharedBuckets(redis),
    breaker: breakers.cache,
    clock,
    onRead: (bytes) => metrics.readBytes.add(bytes),
    onLimited: () => metrics.limited.add(1)
  })
  const laneOf = (lane: 'query' | 'metrics', over: Pick<BulkheadOptions, 'running' | 'runningOfProject'>): Engine => {
    const bulkhead = measured(lane, metrics, {
      queued: config.QUERY_QUEUE,
      waitMs: config.QUERY_QUEUE_MS,
      clock,
      onRefused: (priority) => metrics.refused.add(1, { lane, priority }),
      ...over
    })
    const onAsk = (): void => metrics.asked.add(1, { lane })
    // Dashboards of metrics ask what is ours.
    const limited = lane === 'query' ? { scans } : {}
    return createEngine({ bulkhead, breaker: breakers.warehouse, runner, clock, onAsk, ...limited })
  }
  const cache = createAnswerCache({
    redis,
    breaker: breakers.cache,
    replica: deps.cacheReplica,
    lockMs,
    clock,
    maxBytes: config.CACHE_MAX_BYTES,
    onBad: (kind, key) => {
      metrics.cacheBad.add(1, { kind })
      if (kind === 'mismatch') log.error({ key }, 'an answer of something else lies in the cache; it is not used')
    }
  })
  const local = createLocalAnswers(config.CACHE_LOCAL_BYTES, clock)
  return {
    engine: laneOf('query', {
      running: config.QUERY_CONCURRENCY,
      runningOfProject: config.QUERY_PROJECT_CONCURRENCY
    }),
    metricsEngine: laneOf('metrics', {
      running: config.METRICS_CONCURRENCY,
      runningOfProject: Math.max(1, config.METRICS_CONCURRENCY >> 1)
    }),
    cache: {
      ...cache,
      purge: async (projectId) => {
        const generation = await cache.purge(projectId)
        local.keepOnly(projectId, generation)
        return generation
      }
    },
    answers: createAnswers({
      cache,
      local,
      clock,
      times: cacheTimes(config),
      random: Math.random,
      onRefresh: () => metrics.refreshes.add(1)
    }),
    breakers,
    [Symbol.dispose]: () => {
      for (const breaker of Object.values(breakers)) breaker[Symbol.dispose]()
    }
  }
}

/** One check of health for each breaker: it fails unless it is closed. */
export function breakerChecks(breakers: QueryService['breakers']) {
  return Object.fromEntries(
    Object.values(breakers).map((breaker) => {
      const run = async (): Promise<void> => {
        if (breaker.state !== 'closed') throw new Error(`the breaker ${breaker.name} is ${breaker.state}`)
      }
      return [`breaker-${breaker.name}`, { critical: false, run }]
    })
  )
}

const stateNumbers: Readonly<Record<BreakerState, number>> = { closed: 0, 'half-open': 1, open: 2 }

/** What an error of a store says of it: an error with a reply is an answer. */
function judge(error: unknown): 'failure' | 'answer' | 'nothing' {
  if (!(error instanceof AppError) || error.details['reason'] === 'bulkhead') return 'nothing'
  switch (error.code) {
    case 'PIPE_REDIS_UNAVAILABLE':
    case 'PIPE_CLICKHOUSE_UNAVAILABLE':
      return 'failure'
    case 'PIPE_REDIS_REFUSED':
    case 'PIPE_CLICKHOUSE_QUERY':
      return 'answer'
    default:
      return 'nothing'
  }
}

/** A bulkhead whose numbers are shown. */
function measured(lane: 'query' | 'metrics', metrics: ServiceDeps['metrics'], options: BulkheadOptions): Bulkhead {
  const show = (): void => {
    metrics.running.set(bulkhead.inside, { lane })
    metrics.queued.set(bulkhead.waiting, { lane })
  }
  const bulkhead = createBulkhead({ ...options, onChange: show })
  show()
  return bulkhead
}
