// One query on the engine: the project it may see, the limits it runs under, and its answer in our shape.
import type { Clickhouse, ClickhouseSettings } from '@millrace/stores/clickhouse'

/** What a query may take. */
export interface QueryLimits {
  readonly timeoutMs: number
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
  readonly signal: AbortSignal
}

/** `rows` are arrays in the order of `columns`; counts beyond 2^53 lose digits unless the query casts them to String. */
export interface QueryAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly rows: readonly (readonly unknown[])[]
  readonly rowCount: number
  readonly stats: { readonly elapsedMs: number; readonly readRows: number; readonly readBytes: number }
}

export type RunQuery = (request: QueryRequest) => Promise<QueryAnswer>

/** The settings of a client's query. `log_comment` is what the engine's row filter reads: never empty here. */
export function querySettings(limits: QueryLimits, projectId: string, queryId: string): ClickhouseSettings {
  return {
    log_comment: `${projectId}:${queryId}`,
    readonly: 1,
    // Zero would mean no limit.
    max_execution_time: Math.max(1, Math.ceil(limits.timeoutMs / 1_000)),
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

/** Runs queries on `clickhouse`. Throws PIPE_CLICKHOUSE_QUERY, PIPE_CLICKHOUSE_UNAVAILABLE, or the signal's reason. */
export function createRunQuery(clickhouse: Clickhouse, limits: QueryLimits): RunQuery {
  return async ({ projectId, queryId, sql, params, signal }) => {
    const body = await clickhouse.queryRaw({
      sql,
      params,
      format: 'JSONCompact',
      maxBytes: limits.maxResultBytes,
      queryId,
      settings: querySettings(limits, projectId, queryId),
      signal
    })
    return toAnswer(body)
  }
}

/** The shape of JSONCompact, https://clickhouse.com/docs/interfaces/formats/JSONCompact */
interface JsonCompact {
  readonly meta: readonly { readonly name: string; readonly type: string }[]
  readonly data: readonly (readonly unknown[])[]
  readonly rows: number
  readonly statistics?: { readonly elapsed: number; readonly rows_read: number; readonly bytes_read: number }
}

function toAnswer(body: Buffer): QueryAnswer {
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
