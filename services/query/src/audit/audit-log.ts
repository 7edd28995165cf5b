// Who asked what: one row for each question, written behind, many at once. The queue is bounded: what finds no place in it,
// because PostgreSQL is away or late, is dropped and counted; no question ever waits for its row.
import { createHash } from 'node:crypto'
import { isPoison, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import type { queryMetrics } from '../metrics.ts'
import type { AuditRow, AuditRows } from './audit-rows.ts'

/** One question that was answered, refused or given up. */
export interface AuditedQuestion {
  readonly projectId: string
  readonly keyId: string
  readonly endpoint: string
  /** As the client sent it, or the question of a route as JSON. */
  readonly text: string
  /** 499: the client went away. */
  readonly status: number
  /** HIT, MISS, STALE, BYPASS; empty: it did not come so far. */
  readonly cache: string
  readonly queryId: string
  /** By this question itself; undefined: by none, or not known. */
  readonly readBytes: number | undefined
  readonly tookMs: number
}

export interface AuditPolicy {
  /** `engine`: what was not answered from the cache. */
  readonly questions: 'engine' | 'all' | 'off'
  /** `hash`: texts may hold what is personal, and are told by their hash alone. */
  readonly text: 'hash' | 'text'
  /** Rows are kept for so long. */
  readonly keepMs: number
}

export interface AuditLog extends AsyncDisposable {
  /** Never throws, never waits. */
  add(question: AuditedQuestion): void
}

export interface AuditLogOptions {
  readonly rows: AuditRows
  readonly policy: AuditPolicy
  readonly clock: Clock
  readonly log: Pick<Logger, 'warn'>
  readonly metrics: Pick<BoundMetrics<typeof queryMetrics>, 'audited' | 'auditDropped'>
  readonly maxQueued?: number
}

const writeEveryMs = 1_000
const pruneEveryMs = 3_600_000
const rowsAtOnce = 1_000
/** Longer texts are cut. */
const longestText = 16_384

/** Begins to write rows and to delete old ones; disposing writes what is queued. */
export function startAuditLog(options: AuditLogOptions): AuditLog {
  const { rows, policy, clock, log, metrics, maxQueued = 10_000 } = options
  const queue: AuditRow[] = []
  const stop = new AbortController()
  let isFailing = false

  const write = async (): Promise<boolean> => {
    const some = queue.slice(0, rowsAtOnce)
    try {
      await rows.insert(some)
      queue.splice(0, some.length)
      metrics.audited.add(some.length)
      isFailing = false
      return true
    } catch (error) {
      // What PostgreSQL refuses it will refuse again, and all that comes behind would wait for it.
      if (isPoison(error)) metrics.auditDropped.add(queue.splice(0, some.length).length)
      if (!isFailing) log.warn({ err: toError(error) }, 'rows of the query audit are not written')
      isFailing = true
      return false
    }
  }
  const run = async (): Promise<void> => {
    let pruneAtMs = clock.monotonic()
    while (!stop.signal.aborted) {
      await clock.sleep(writeEveryMs, stop.signal).catch(() => undefined)
      while (queue.length > 0 && (await write()));
      if (clock.monotonic() < pruneAtMs || stop.signal.aborted) continue
      pruneAtMs = clock.monotonic() + pruneEveryMs
      // Another process does the same; what fails is done in an hour.
      await rows.deleteBefore(new Date(clock.now() - policy.keepMs)).catch(() => undefined)
    }
  }
  const running = policy.questions === 'off' ? Promise.resolve() : run()

  return {
    add(question) {
      if (policy.questions === 'off' || (policy.questions === 'engine' && question.cache === 'HIT')) return
      if (queue.length >= maxQueued) return metrics.auditDropped.add(1)
      const { text, ...facts } = question
      const sqlHash = createHash('sha256').update(text).digest('hex')
      const sql = policy.text === 'text' ? text.slice(0, longestText) : undefined
      queue.push({ ...facts, at: new Date(clock.now()), sqlHash, sql })
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
      while (queue.length > 0 && (await write()));
      if (queue.length > 0) metrics.auditDropped.add(queue.length)
    }
  }
}
