// Reads metrics for one caller: windows from the live state behind its breaker, what is older from the warehouse through
// the lane of metrics and the cache, so that a dashboard asks for the past once.
import { randomUUIDv7 } from 'node:crypto'
import type { WindowReader } from '@millrace/aggregation/window-reader'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { MetricReaderDeps } from '@millrace/serving/read-metric'
import type { Breaker } from '@millrace/stores/breaker'
import type { Priority } from './bulkhead.ts'
import type { Answers, CacheUse, Made } from './cache/answers.ts'
import type { cacheKeyOf } from './cache/cache-key.ts'
import { keptUntil } from './cache/freshness.ts'
import type { Engine } from './engine.ts'
import type { RequestOptions } from './request-options.ts'
import type { Caller } from './routes/answer-request.ts'
import { toAnswer } from './run-query.ts'

export interface MetricSources extends Pick<
  MetricReaderDeps,
  'definitionsOf' | 'daysOf' | 'conversionTypes' | 'latenessMs'
> {
  readonly windows: WindowReader
  readonly answers: Answers
  /** The lane of metrics. */
  readonly engine: Engine
  readonly keyOf: typeof cacheKeyOf
  readonly schemaVersion: () => string
  readonly clock: Clock
}

/** What `readMetric` needs for one caller; `used` is told of each question to the warehouse. */
export function createMetricReader(
  sources: MetricSources,
  caller: Caller,
  { priority, use, allowStale }: RequestOptions,
  used: (use: CacheUse) => void
): MetricReaderDeps {
  const { windows, answers, engine, keyOf, schemaVersion, clock, latenessMs } = sources
  const { projectId } = caller
  let oldestMs = 0
  const rows = async <R>(sql: string, params: Readonly<Record<string, unknown>> = {}): Promise<readonly R[]> => {
    const key = keyOf({ projectId, kind: 'rows-1', schemaVersion: schemaVersion(), sql, params, format: 'JSONCompact' })
    // Sessions that begin in a span go on after it.
    const reachMs = Number(params['reach'] ?? 0)
    const kept = keptUntil(Number(params['to']) + reachMs + latenessMs, clock.now())
    const make = async (signal: AbortSignal, given: Priority): Promise<Made> => {
      const queryId = randomUUIDv7()
      const asked = { ...caller, signal, queryId, sql, params, format: 'JSONCompact', priority: given }
      const { body, lease } = await engine.ask(asked)
      return { status: 200, contentType: 'application/json', queryId, body, lease, kept }
    }
    const question = { projectId, key, priority, deadlineMs: caller.deadlineMs, use, allowStale, make }
    const found = await answers.ask(question, caller.signal).catch(asAway)
    used(found.use)
    oldestMs = Math.max(oldestMs, found.ageMs)
    found.lease?.release()
    const { columns, rows: lists } = toAnswer(found.body)
    // The shape is that of the query, which is ours.
    return lists.map((list) => Object.fromEntries(columns.map(({ name }, index) => [name, list[index]])) as R)
  }
  return { ...sources, windows, clickhouse: { rows }, rowsAgeMs: () => oldestMs }
}

/** For the reader a warehouse that is left alone or late is one that does not answer. */
function asAway(error: unknown): never {
  throw isUnasked(error) ? new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', error.message, { cause: error }) : error
}

/** `reader` behind `breaker`: while it is open, and when Redis is silent, the live state is away. */
export function guardWindows(reader: WindowReader, breaker: Breaker): WindowReader {
  return {
    read: (...asked) =>
      breaker
        .run(() => reader.read(...asked))
        .catch((error: unknown) => {
          throw isUnasked(error) ? new AppError('PIPE_REDIS_UNAVAILABLE', error.message, { cause: error }) : error
        })
  }
}

function isUnasked(error: unknown): error is AppError {
  return error instanceof AppError && (error.code === 'PIPE_BREAKER_OPEN' || error.code === 'PIPE_DEADLINE')
}
