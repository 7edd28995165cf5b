// Who asked what: one row for each question, written behind, many at once. The queue is bounded in rows and bytes, and so is
// what a project may put into it in a second: the rest is dropped and counted; no question ever waits for its row.
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
  readonly maxQueuedBytes?: number
  /** Of one project. Questions that were refused have a fifth of it, so that they do not hide the others. */
  readonly maxRowsPerSecond?: number
}

const writeEveryMs = 1_000
const pruneEveryMs = 3_600_000
/** With more left than one turn deletes. */
const pruneAgainMs = 10_000
const deletesOfTurn = 10
const rowsAtOnce = 1_000
/** Longer texts are cut. */
const longestText = 16_384
/** What a row takes in memory beside its text, about. */
const rowBytes = 600

/** Begins to write rows and to delete old ones; disposing writes what is queued. */
export function startAuditLog(options: AuditLogOptions): AuditLog {
  const { rows, policy, clock, log, metrics, maxQueued = 10_000, maxQueuedBytes = 16 * 1024 ** 2 } = options
  const mayAdd = createRowLimit(options.maxRowsPerSecond ?? 100, clock)
  const queue: AuditRow[] = []
  const stop = new AbortController()
  let queuedBytes = 0
  let isFailing = false

  const drop = (count: number, reason: 'rate' | 'full' | 'refused' | 'end'): void =>
    metrics.auditDropped.add(count, { reason })
  /** The first `count` are over; resolves with how many. */
  const take = (count: number): number => {
    const taken = queue.splice(0, count)
    for (const row of taken) queuedBytes -= bytesOf(row.sql)
    return taken.length
  }

  const write = async (): Promise<boolean> => {
    const some = queue.slice(0, rowsAtOnce)
    try {
      await rows.insert(some)
      metrics.audited.add(take(some.length))
      isFailing = false
      return true
    } catch (error) {
      // What PostgreSQL refuses it will refuse again, and all that comes behind would wait for it.
      if (isPoison(error)) drop(take(some.length), 'refused')
      if (!isFailing) log.warn({ err: toError(error) }, 'rows of the query audit are not written')
      isFailing = true
      return false
    }
  }
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await clock.sleep(writeEveryMs, stop.signal).catch(() => undefined)
      while (queue.length > 0 && (await write()));
    }
  }
  /** Apart from the writing, and in turns: another process does the same, and what fails is done in an hour. */
  const prune = async (): Promise<void> => {
    let pauseMs = writeEveryMs
    while (!stop.signal.aborted) {
      await clock.sleep(pauseMs, stop.signal).catch(() => undefined)
      const before = new Date(clock.now() - policy.keepMs)
      let deleted = 1
      for (let done = 0; done < deletesOfTurn && deleted > 0 && !stop.signal.aborted; done++) {
        deleted = await rows.deleteBefore(before).catch(() => 0)
      }
      pauseMs = deleted > 0 ? pruneAgainMs : pruneEveryMs
    }
  }
  const isOff = policy.questions === 'off'
  const running = isOff ? Promise.resolve() : run()
  const pruning = isOff ? Promise.resolve() : prune()

  return {
    add(question) {
      if (isOff || (policy.questions === 'engine' && question.cache === 'HIT')) return
      if (!mayAdd(question)) return drop(1, 'rate')
      const { text, ...facts } = question
      const sql = policy.text === 'text' ? beginningOf(text) : undefined
      if (queue.length >= maxQueued || queuedBytes + bytesOf(sql) > maxQueuedBytes) return drop(1, 'full')
      const sqlHash = createHash('sha256').update(text).digest('hex')
      queuedBytes += bytesOf(sql)
      queue.push({ ...facts, at: new Date(clock.now()), sqlHash, sql })
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
      while (queue.length > 0 && (await write()));
      if (queue.length > 0) drop(queue.length, 'end')
      await pruning
    }
  }
}

/** A copy of the text up to `longestText`: a piece of a string keeps the whole of it in memory, which may be a body of 1 MiB. */
function beginningOf(text: string): string {
  return Buffer.from(text.slice(0, longestText), 'utf16le').toString('utf16le')
}

/** What a row with this text takes in memory, at most. */
function bytesOf(sql: string | undefined): number {
  return rowBytes + (sql?.length ?? 0) * 2
}

/** A client that went away may have had the engine work before. */
const goneStatus = 499

/** Whether one more row of a project is within what it may have in a second. */
function createRowLimit(perSecond: number, clock: Clock): (question: AuditedQuestion) => boolean {
  const ofRefused = Math.ceil(perSecond / 5)
  const rows = new Map<string, { all: number; refused: number }>()
  let second = 0
  return ({ projectId, status }) => {
    const now = Math.floor(clock.monotonic() / 1_000)
    if (now !== second) rows.clear()
    second = now
    const counts = rows.get(projectId) ?? { all: 0, refused: 0 }
    rows.set(projectId, counts)
    const isRefused = status >= 400 && status < goneStatus
    if (counts.all >= perSecond || (isRefused && counts.refused >= ofRefused)) return false
    counts.all++
    if (isRefused) counts.refused++
    return true
  }
}
