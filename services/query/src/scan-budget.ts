// What the queries of a project may read, in bytes: a token bucket that is asked before a query with an estimate and told
// after it what was read. A bucket may go into debt, which the next queries wait for. Processes share buckets in Redis; each
// keeps its own beside, which decides alone while Redis is away.
import { hash } from 'node:crypto'
import { AppError, createLru } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { createBoundedMap } from '@millrace/stores/bounded-map'
import type { Breaker } from '@millrace/stores/breaker'
import type { SharedBuckets } from '@millrace/stores/shared-buckets'
import { afterTaking, tokensAt, waitForMs } from '@millrace/stores/token-bucket'

/** A query that was let in. */
export interface Admission {
  /** What it read; undefined: the engine did not say, then the time that it took stands for it. To be called once. */
  settle(readBytes: number | undefined, engineMs: number): void
}

export interface ScanBudget {
  /** Throws PIPE_RATE_LIMITED with `details`: retryAfterMs, and the figures. Ends soon, whatever Redis does. */
  admit(projectId: string, sql: string): Promise<Admission>
}

export interface ScanBudgetOptions {
  /** Undefined: no limit. */
  readonly rate: { readonly bytesPerSecond: number; readonly burstBytes: number } | undefined
  readonly shared: SharedBuckets
  /** Of the Redis that has them. */
  readonly breaker: Breaker
  readonly clock: Clock
  readonly onRead?: (bytes: number) => void
  readonly onLimited?: () => void
}

interface Bucket {
  fullAtMs: number
  /** Estimates of what runs. */
  pending: number
}

/** A query that was never seen is taken for this much. */
const unknownBytes = 16 * 1024 ** 2
/** Of a query that tells nothing each second stands for this much. */
const bytesOfSecond = 256 * 1024 ** 2
const mostProjects = 50_000
const mostQuestions = 10_000
/** A larger debt is forgiven, as that of the shared buckets is. */
const mostDebtMs = 10_000

/** The budgets of all projects. */
export function createScanBudget({ rate, shared, breaker, clock, ...told }: ScanBudgetOptions): ScanBudget {
  const buckets = createBoundedMap<string, Bucket>(mostProjects)
  /** What a question read the last time, as the engine said, by a hash: a question may be long. */
  const known = createLru<string, { bytes: number }>(mostQuestions)
  if (rate === undefined) return { admit: async () => ({ settle: (bytes) => told.onRead?.(bytes ?? 0) }) }
  const tokens = { eventsPerSecond: rate.bytesPerSecond, burst: rate.burstBytes }

  const bucketOf = (projectId: string): Bucket => {
    const bucket = buckets.get(projectId) ?? { fullAtMs: 0, pending: 0 }
    buckets.set(projectId, bucket)
    return bucket
  }
  /** Takes `count` from the shared bucket, none to look at it; the later of both times counts. */
  const share = async (projectId: string, bucket: Bucket, count: number): Promise<void> => {
    const spending = { projectId, scope: 'query', subject: '', rate: tokens, count } as const
    const [waitMs] = await breaker.run(() => shared.spend([spending])).catch(() => [])
    if (waitMs !== undefined) bucket.fullAtMs = Math.max(bucket.fullAtMs, clock.monotonic() + waitMs)
  }
  const refuseOver = (bucket: Bucket, estimate: number): void => {
    const nowMs = clock.monotonic()
    const fullAtMs = afterTaking(bucket.fullAtMs, bucket.pending, tokens, nowMs)
    const retryAfterMs = waitForMs(fullAtMs, estimate, tokens, nowMs)
    if (retryAfterMs <= 0) return
    told.onLimited?.()
    throw new AppError('PIPE_RATE_LIMITED', 'the queries of the project have read more than they may for now', {
      details: { retryAfterMs, estimatedBytes: estimate, availableBytes: tokensAt(fullAtMs, tokens, nowMs), ...rate }
    })
  }

  const learn = (name: string, bytes: number): void => {
    const before = known.get(name)
    if (before === undefined) known.set(name, { bytes })
    else before.bytes = bytes
  }

  return {
    async admit(projectId, sql) {
      const bucket = bucketOf(projectId)
      const name = nameOf(projectId, sql)
      const estimate = known.get(name)?.bytes ?? unknownBytes
      await share(projectId, bucket, 0)
      refuseOver(bucket, estimate)
      bucket.pending += estimate
      return {
        settle(readBytes, engineMs) {
          const nowMs = clock.monotonic()
          const bytes = readBytes ?? Math.max(estimate, (engineMs / 1_000) * bytesOfSecond)
          bucket.pending -= estimate
          told.onRead?.(bytes)
          if (bytes === 0) return
          if (readBytes !== undefined) learn(name, readBytes)
          const latestMs = nowMs + (rate.burstBytes * 1_000) / rate.bytesPerSecond + mostDebtMs
          bucket.fullAtMs = Math.min(afterTaking(bucket.fullAtMs, bytes, tokens, nowMs), latestMs)
          void share(projectId, bucket, bytes)
        }
      }
    }
  }
}

function nameOf(projectId: string, sql: string): string {
  return hash('sha256', `${projectId} ${sql}`, 'buffer').subarray(0, 16).toString('base64')
}
