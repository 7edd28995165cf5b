// The way of a query to the warehouse: nobody waits for one that is known to be away; then a place in the bulkhead; then
// the breaker, which sees only what was really asked.
import { finished } from 'node:stream/promises'
import type { Readable } from 'node:stream'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Breaker } from '@millrace/stores/breaker'
import type { Bulkhead, Priority } from './bulkhead.ts'
import { paceRows } from './paced-rows.ts'
import type { QueryRequest, QueryRunner, RawAnswer } from './run-query.ts'
import type { Admission, ScanBudget } from './scan-budget.ts'

/** A query before its time runs: what is left of it is known when it has a place. */
export interface Asked extends Omit<QueryRequest, 'timeoutMs'> {
  readonly priority: Priority
  /** On the monotonic clock. */
  readonly deadlineMs: number
}

export interface Engine {
  /**
   * The whole answer; whoever asked releases its lease. Throws PIPE_CLICKHOUSE_QUERY; PIPE_BREAKER_OPEN, PIPE_CLICKHOUSE_UNAVAILABLE when it cannot be had
   * now, with `details.reason` = bulkhead when there is no place; PIPE_DEADLINE when the time was over before;
   * PIPE_RATE_LIMITED when the project has read too much.
   */
  ask(asked: Asked): Promise<RawAnswer>
  /** The answer as it comes. Its place is taken until the stream is closed, and it is charged for by then. Throws as `ask`. */
  stream(asked: Asked, maxRows: number): Promise<Readable>
}

export interface EngineDeps {
  readonly bulkhead: Bulkhead
  readonly breaker: Breaker
  readonly runner: QueryRunner
  readonly clock: Clock
  /** What queries may read; without it as much as they want. */
  readonly scans?: ScanBudget
  /** Told of each query that is really sent. */
  readonly onAsk?: () => void
}

/** Below this a query is not begun. */
const leastMs = 50

/** The engine behind `bulkhead` and `breaker`. */
export function createEngine({ bulkhead, breaker, runner, clock, scans, onAsk }: EngineDeps): Engine {
  const refuseWhileOpen = (): void => {
    if (breaker.state === 'open') {
      throw new AppError('PIPE_BREAKER_OPEN', 'the warehouse does not answer; it is left alone for a while')
    }
  }
  const admit = async ({ projectId, sql }: Asked): Promise<Scan> =>
    toScan(await scans?.admit(projectId, sql), clock, onAsk)
  const toRequest = ({ priority: _priority, deadlineMs, ...request }: Asked): QueryRequest => {
    const timeoutMs = deadlineMs - clock.monotonic()
    if (timeoutMs < leastMs) throw new AppError('PIPE_DEADLINE', 'the time of the query was over before it had a place')
    return { ...request, timeoutMs }
  }
  return {
    ask: async (asked) => {
      refuseWhileOpen()
      const scan = await admit(asked)
      try {
        const answer = await bulkhead.run(() => {
          const request = toRequest(asked)
          return breaker.run(() => {
            scan.begin()
            return runner.run(request)
          })
        }, asked)
        scan.end(answer.work?.readBytes)
        return answer
      } finally {
        scan.end()
      }
    },
    stream: async (asked, maxRows) => {
      refuseWhileOpen()
      const scan = await admit(asked)
      const { promise, resolve, reject } = Promise.withResolvers<Readable>()
      const whole = async (): Promise<void> => {
        const request = toRequest(asked)
        const stream = await breaker.run(() => {
          scan.begin()
          return runner.stream(request, maxRows)
        })
        const { rows, idleMs } = paceRows(stream, clock)
        resolve(rows)
        await finished(stream, { writable: false }).catch(() => undefined)
        scan.end(undefined, idleMs())
      }
      bulkhead
        .run(whole, asked)
        .catch(reject)
        .finally(() => scan.end())
      return await promise
    }
  }
}

/** What one query reads: nothing until it is sent, and told once. */
interface Scan {
  begin(): void
  /** `readBytes` undefined: not known. `idleMs`: of its time since it was sent, what it waited for its client. */
  end(readBytes?: number, idleMs?: number): void
}

function toScan(admission: Admission | undefined, clock: Clock, onAsk: (() => void) | undefined): Scan {
  let sentAtMs: number | undefined
  let isOver = false
  return {
    begin: () => {
      sentAtMs = clock.monotonic()
      onAsk?.()
    },
    end: (readBytes, idleMs = 0) => {
      if (isOver) return
      isOver = true
      if (sentAtMs === undefined) admission?.settle(0, 0)
      else admission?.settle(readBytes, clock.monotonic() - sentAtMs - idleMs)
    }
  }
}
