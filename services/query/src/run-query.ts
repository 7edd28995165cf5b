// One query on the engine: the project it may see, the limits it runs under, its deadline, and its end when nobody waits.
import type { Readable } from 'node:stream'
import { AppError, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Clickhouse, ClickhouseSettings, ClickhouseWorkDone } from '@millrace/stores/clickhouse'
import type { ByteBudget } from './byte-budget.ts'
import { collectAnswer } from './collect-answer.ts'
import type { Collected } from './collect-answer.ts'

/** What a query may take. */
export interface QueryLimits {
  readonly maxResultRows: number
  readonly maxResultBytes: number
  readonly maxReadRows: number
  readonly maxMemoryBytes: number
  readonly maxThreads: number
}

export interface QueryRequest {
  /** From the credential alone. */
  readonly projectId: string
  readonly queryId: string
  /** As the gate wrote it. */
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
  /** Of ClickHouse, such as JSONCompact. */
  readonly format: string
  /** What is left of the time that it may take. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Fewer bytes than the limit of the service. */
  readonly maxResultBytes?: number
}

/** The bytes of an answer, and what it took where the engine told it. */
export interface RawAnswer extends Collected {
  readonly work: ClickhouseWorkDone | undefined
}

/** `rows` are arrays in the order of `columns`; counts beyond 2^53 lose digits unless the query casts them to String. */
export interface QueryAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly rows: readonly (readonly unknown[])[]
  readonly rowCount: number
  readonly stats: { readonly elapsedMs: number; readonly readRows: number; readonly readBytes: number }
}

export interface QueryRunner {
  /**
   * The whole answer. Throws PIPE_CLICKHOUSE_QUERY, PIPE_CLICKHOUSE_UNAVAILABLE (also when the engine is silent beyond
   * the deadline, and when there is no room for a large answer), PIPE_DEADLINE when it is silent beyond a deadline too
   * short to say anything of the engine, or the signal's reason.
   */
  run(request: QueryRequest): Promise<RawAnswer>
  /** The answer as it comes, of any number of rows up to `maxRows`; a stream that breaks is no whole answer. Throws as run. */
  stream(request: QueryRequest, maxRows: number): Promise<Readable>
}

/** The engine ends a query at its deadline by itself; one that is silent for this much longer is away. */
const graceMs = 1_500
/** An engine that was told to stop by the end of its connection is told once more, by name. */
const killAfterMs = 1_000

/** The settings of a client's query. `log_comment` is what the engine's row filter reads: never empty here. */
export function querySettings(
  limits: QueryLimits,
  { projectId, queryId, timeoutMs }: Pick<QueryRequest, 'projectId' | 'queryId' | 'timeoutMs'>
): ClickhouseSettings {
  return {
    log_comment: `${projectId}:${queryId}`,
    readonly: 1,
    // Zero would mean no limit.
    max_execution_time: Math.max(1, Math.ceil(timeoutMs / 1_000)),
    timeout_overflow_mode: 'throw',
    max_result_rows: String(limits.maxResultRows),
    max_result_bytes: String(limits.maxResultBytes),
    result_overflow_mode: 'throw',
    max_rows_to_read: String(limits.maxReadRows),
    read_overflow_mode: 'throw',
    max_memory_usage: String(limits.maxMemoryBytes),
    max_threads: limits.maxThreads,
    max_ast_elements: 10_000,
    max_subquery_depth: 20,
    output_format_json_quote_64bit_integers: 0,
    cancel_http_readonly_queries_on_client_close: 1
  }
}

/** What a query without a wish of its own has at least of the time of the service: the rest it may have waited for a place. */
const shareOfWholeTime = 0.75

/**
 * Runs queries on `clickhouse`. Silence speaks against the engine only where a query had the `wholeTimeMs` of the service
 * (but for its wait): a client that allows its own less must not have the engine left alone for others.
 */
export function createQueryRunner(
  clickhouse: Pick<Clickhouse, 'queryStream' | 'kill'>,
  limits: QueryLimits,
  clock: Clock,
  budget: ByteBudget,
  wholeTimeMs: number
): QueryRunner {
  const silence = ({ timeoutMs }: QueryRequest): AppError => {
    const code = timeoutMs < wholeTimeMs * shareOfWholeTime ? 'PIPE_DEADLINE' : 'PIPE_CLICKHOUSE_UNAVAILABLE'
    return new AppError(code, 'no answer of the engine beyond the deadline of a query')
  }
  const kill = (queryId: string): void => {
    clock.timer(killAfterMs, () => void clickhouse.kill(queryId).catch(() => undefined))
  }
  /** Runs `work` under the deadline; the query is killed when it ends otherwise than by itself. */
  const bounded = async <T>(request: QueryRequest, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const silent = new AbortController()
    using _timer = clock.timer(request.timeoutMs + graceMs, () => silent.abort(silence(request)))
    const signal = AbortSignal.any([request.signal, silent.signal])
    try {
      return await work(signal)
    } catch (error) {
      if (signal.aborted) kill(request.queryId)
      throw error
    }
  }
  const toRaw = (request: QueryRequest, signal: AbortSignal, over: Partial<QueryLimits> = {}) => ({
    sql: request.sql,
    params: request.params,
    format: request.format,
    queryId: request.queryId,
    settings: querySettings({ ...limits, ...over }, request),
    signal
  })
  return {
    run: (request) =>
      bounded(request, async (signal) => {
        const { projectId, maxResultBytes = limits.maxResultBytes } = request
        const maxBytes = Math.min(maxResultBytes, limits.maxResultBytes)
        const raw = toRaw(request, signal)
        // The status then tells success or failure; otherwise an error may follow rows already sent.
        const settings = { ...raw.settings, wait_end_of_query: 1 }
        let work: ClickhouseWorkDone | undefined
        const stream = await clickhouse.queryStream({ ...raw, settings, onWork: (done) => (work = done) })
        const reserve = (bytes: number) => budget.reserve({ projectId, bytes, signal })
        const collected = await collectAnswer(stream, { maxBytes, reserve }).catch(asCut(signal))
        return { ...collected, work: workOf(request.format, collected.body) ?? work }
      }),
    stream: async (request, maxRows) => {
      const over = { maxResultRows: maxRows, maxResultBytes: Number.MAX_SAFE_INTEGER }
      const untilMs = clock.monotonic() + request.timeoutMs + graceMs
      const stream = await bounded(request, (signal) => {
        const raw = toRaw(request, signal, over)
        // What fails among rows must not look like one.
        const settings = { ...raw.settings, http_write_exception_in_output_format: 0 }
        return clickhouse.queryStream({ ...raw, settings })
      })
      // A client that reads slowly must not keep its place for ever.
      const timer = clock.timer(untilMs - clock.monotonic(), () => stream.destroy(silence(request)))
      stream.once('close', () => {
        timer[Symbol.dispose]()
        if (!stream.readableEnded) kill(request.queryId)
      })
      return stream
    }
  }
}

/** An answer that breaks off is none. */
function asCut(signal: AbortSignal): (error: unknown) => never {
  return (error) => {
    if (signal.aborted) throw signal.reason
    if (error instanceof AppError) throw error
    throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'the answer broke off', { cause: toError(error) })
  }
}

const statistics = /"rows_read":\s*(\d+),\s*"bytes_read":\s*(\d+)\s*\}\s*\}\s*$/
const longestStatistics = 400

/** What an answer in JSONCompact says at its end: whatever its rows hold stands before that. */
function workOf(format: string, body: Buffer): ClickhouseWorkDone | undefined {
  if (format !== 'JSONCompact') return undefined
  const end = body.subarray(-longestStatistics).toString('latin1')
  const [, rows, bytes] = statistics.exec(end) ?? []
  return rows === undefined ? undefined : { readRows: Number(rows), readBytes: Number(bytes) }
}

/** The shape of JSONCompact, https://clickhouse.com/docs/interfaces/formats/JSONCompact */
interface JsonCompact {
  readonly meta: readonly { readonly name: string; readonly type: string }[]
  readonly data: readonly (readonly unknown[])[]
  readonly rows: number
  readonly statistics?: { readonly elapsed: number; readonly rows_read: number; readonly bytes_read: number }
}

/** An answer in JSONCompact in our shape. */
export function toAnswer(body: Buffer): QueryAnswer {
  const { meta, data, rows, statistics } = JSON.parse(body.toString('utf8')) as JsonCompact
  return {
    columns: meta,
    rows: data,
    rowCount: rows,
    stats: {
      elapsedMs: Math.round((statistics?.elapsed ?? 0) * 1_000_000) / 1_000,
      readRows: statistics?.rows_read ?? 0,
      readBytes: statistics?.bytes_read ?? 0
    }
  }
}
