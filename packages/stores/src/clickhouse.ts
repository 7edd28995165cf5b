// ClickHouse over HTTP. Rows go in as the bytes they already are, answers come out as bytes with a bound; errors are
// ours, by the server's numeric code.
import { Readable } from 'node:stream'
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { AppError } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import { toClickhouseError, toReplyError } from './clickhouse-errors.ts'
import type { ClickhouseWork } from './clickhouse-errors.ts'
import { clickhouseLogger } from './clickhouse-log.ts'

/** Settings of one request, by their ClickHouse names. */
export type ClickhouseSettings = Readonly<Record<string, string | number>>

export interface ClickhouseRequest {
  readonly queryId?: string
  readonly settings?: ClickhouseSettings
  /** Ends the request; the call then throws the signal's reason, and the server may or may not have done the work. */
  readonly signal?: AbortSignal
}

export interface InsertRequest extends ClickhouseRequest {
  /** Of the lines; default JSONEachRow. The fields of TabSeparated stand in the order of the columns. */
  readonly format?: 'JSONEachRow' | 'TabSeparated'
}

export interface RawQuery extends ClickhouseRequest {
  /** Without a FORMAT clause. */
  readonly sql: string
  /** Values of `{name:Type}` in `sql`. */
  readonly params?: Readonly<Record<string, unknown>>
  /** Output format, such as JSONCompact. */
  readonly format: string
  /** PIPE_CLICKHOUSE_QUERY with `details.limit` = result_bytes when the answer is longer. */
  readonly maxBytes: number
}

/** Of any length: the reader bounds it. */
export interface StreamedQuery extends Omit<RawQuery, 'maxBytes'> {
  /** Told before the first byte what the query read, by servers that know it by then: with wait_end_of_query. */
  readonly onWork?: (work: ClickhouseWorkDone) => void
}

/** What a query read in the engine. */
export interface ClickhouseWorkDone {
  readonly readRows: number
  readonly readBytes: number
}

export interface Clickhouse extends AsyncDisposable {
  /** The database of the URL. */
  readonly database: string
  /**
   * Inserts lines, sent as they are, in one synchronous INSERT with exactly `columns`. Throws PIPE_CLICKHOUSE_REFUSED
   * when the rows are to blame, PIPE_CLICKHOUSE_UNAVAILABLE for everything else, then with an unknown outcome.
   */
  insertLines(
    table: string,
    columns: readonly string[],
    body: Buffer | readonly Buffer[] | Readable,
    request?: InsertRequest
  ): Promise<void>
  /** The whole answer in `format`. Throws PIPE_CLICKHOUSE_QUERY or PIPE_CLICKHOUSE_UNAVAILABLE. */
  queryRaw(query: RawQuery): Promise<Buffer>
  /**
   * The answer in `format` as the server makes it; errors of before the first row are thrown as by queryRaw. A stream that
   * fails or is cut is no whole answer; `signal` destroys it.
   */
  queryStream(query: StreamedQuery): Promise<Readable>
  /** Rows as objects; 64-bit integers are strings. For small answers of our own queries. */
  rows<R = Record<string, unknown>>(
    sql: string,
    params?: Readonly<Record<string, unknown>>,
    request?: ClickhouseRequest
  ): Promise<readonly R[]>
  /** Ends the query of that id, where this server runs it; resolves before it has ended. Throws as queryRaw does. */
  kill(queryId: string): Promise<void>
  /** A statement without an answer. Throws as queryRaw does. */
  command(sql: string, request?: ClickhouseRequest): Promise<void>
  /** Resolves when the server ran a statement for this user; throws PIPE_CLICKHOUSE_UNAVAILABLE. */
  ping(): Promise<void>
}

export interface ClickhouseOptions {
  /** `http://user:password@host:8123/database` */
  readonly url: string
  readonly log: Logger
  /** Shown in the server's query log. */
  readonly applicationName: string
  readonly maxConnections?: number
  /** Silence on the socket after which a request fails. */
  readonly requestTimeoutMs?: number
}

/** The server repeats the query in its error, and where it was in it. */
const maxErrorBytes = 4 * 1024 * 1024
/** The reply to an insert is empty; anything long is not ClickHouse. */
const maxInsertReplyBytes = 64 * 1024

/** Opens a client; nothing is sent before the first call, so a service can start while ClickHouse is down. */
export async function openClickhouse(options: ClickhouseOptions): Promise<Clickhouse> {
  const { database } = clickhouseTarget(options.url)
  const client = createClient({
    ...clickhouseTarget(options.url),
    application: options.applicationName,
    max_open_connections: options.maxConnections ?? 10,
    request_timeout: options.requestTimeoutMs ?? 30_000,
    // Below the 3 s of the oldest servers: a socket that the server is closing must not be used again.
    keep_alive: { enabled: true, idle_socket_ttl: 2_000, eagerly_destroy_stale_sockets: true },
    // Servers differ in the default; a count of more than 2^53 must not lose digits on the way.
    clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
    log: { level: ClickHouseLogLevel.WARN, LoggerClass: clickhouseLogger(options.log) }
  })
  const ask = async (query: StreamedQuery, defaults: ClickhouseSettings) => {
    const result = await client.exec({
      query: `${query.sql}\nFORMAT ${query.format}`,
      ...parameters(query, defaults),
      ...(query.params === undefined ? {} : { query_params: { ...query.params } }),
      // The client would throw away the status.
      ignore_error_response: true
    })
    const { http_status_code: status = 200, response_headers: headers } = result
    if (status < 300 && headers?.['x-clickhouse-exception-code'] === undefined) return result
    throw toReplyError(status, (await collect(result.stream, maxErrorBytes)).toString())
  }
  const queryRaw = async (query: RawQuery): Promise<Buffer> =>
    await guarded('query', firstWords(query.sql), query.signal, async () => {
      // The status then tells success or failure; otherwise an error may follow rows already sent.
      const { stream } = await ask(query, { wait_end_of_query: 1 })
      return await collect(stream, query.maxBytes)
    })
  const queryStream = async (query: StreamedQuery): Promise<Readable> =>
    await guarded('query', firstWords(query.sql), query.signal, async () => {
      const { stream, summary } = await ask(query, {})
      const work = { readRows: Number(summary?.read_rows), readBytes: Number(summary?.read_bytes) }
      // A summary of before the end tells nothing.
      if (work.readRows > 0 && work.readBytes >= 0) query.onWork?.(work)
      return stream
    })
  return {
    database,
    queryRaw,
    queryStream,
    insertLines: (table, columns, body, request = {}) =>
      guarded('insert', `insert into ${table}`, request.signal, async () => {
        // `insert` of the client would make text of objects; `exec` sends bytes as they are.
        const { format = 'JSONEachRow' } = request
        const pieces = Buffer.isBuffer(body) ? [body] : body
        const { stream } = await client.exec({
          query: `INSERT INTO ${identifier(table)} (${columns.map(identifier).join(', ')}) FORMAT ${format}`,
          values: pieces instanceof Readable ? pieces : Readable.from(pieces, { objectMode: false }),
          ...parameters(request, { async_insert: 0, input_format_skip_unknown_fields: 0, wait_end_of_query: 1 })
        })
        await collect(stream, maxInsertReplyBytes)
      }),
    rows: <R>(sql: string, params?: Readonly<Record<string, unknown>>, request: ClickhouseRequest = {}) =>
      guarded('query', firstWords(sql), request.signal, async () => {
        const result = await client.query({
          query: sql,
          format: 'JSONEachRow',
          ...parameters(request, {}),
          ...(params === undefined ? {} : { query_params: { ...params } })
        })
        return await result.json<R>()
      }),
    command: (sql, request = {}) =>
      guarded('query', firstWords(sql), request.signal, async () => {
        await client.command({ query: sql, ...parameters(request, {}) })
      }),
    kill: (queryId) =>
      guarded('query', 'kill a query', undefined, async () => {
        if (!/^[\w-]{1,100}$/.test(queryId))
          throw new AppError('PIPE_INVALID_INPUT', `'${queryId}' is no id of a query`)
        await client.command({ query: `KILL QUERY WHERE query_id = '${queryId}' ASYNC` })
      }),
    ping: () =>
      guarded('insert', 'ping', undefined, async () => {
        const result = await client.ping({ select: true })
        if (!result.success) throw result.error
      }),
    [Symbol.asyncDispose]: () => client.close()
  }
}

/** What the client needs of a URL; the database defaults to `default`. Throws PIPE_CONFIG_INVALID without quoting it. */
export function clickhouseTarget(text: string): { url: string; username: string; password: string; database: string } {
  if (!URL.canParse(text)) throw new AppError('PIPE_CONFIG_INVALID', 'CLICKHOUSE_URL is not a URL')
  const url = new URL(text)
  const database = decodeURIComponent(url.pathname.slice(1)) || 'default'
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(database)) {
    throw new AppError('PIPE_CONFIG_INVALID', 'CLICKHOUSE_URL names a database that is not [A-Za-z0-9_]')
  }
  return {
    url: `${url.protocol}//${url.host}`,
    username: decodeURIComponent(url.username) || 'default',
    password: decodeURIComponent(url.password),
    database
  }
}

function parameters(request: ClickhouseRequest, defaults: ClickhouseSettings) {
  return {
    clickhouse_settings: { ...defaults, ...request.settings },
    ...(request.queryId === undefined ? {} : { query_id: request.queryId }),
    ...(request.signal === undefined ? {} : { abort_signal: request.signal })
  }
}

async function guarded<T>(
  kind: ClickhouseWork,
  what: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>
): Promise<T> {
  signal?.throwIfAborted()
  try {
    return await work()
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason
    throw toClickhouseError(error, kind, what)
  }
}

async function collect(stream: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream) {
    const buffer = chunk as Buffer // the response stream is not in object mode
    bytes += buffer.byteLength
    // Leaving the loop destroys the stream, and with it the request.
    if (bytes > maxBytes) {
      throw new AppError('PIPE_CLICKHOUSE_QUERY', `the answer is longer than ${maxBytes} bytes`, {
        details: { limit: 'result_bytes', maxBytes }
      })
    }
    chunks.push(buffer)
  }
  return Buffer.concat(chunks)
}

function identifier(name: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return `\`${name}\``
  throw new AppError('PIPE_INVALID_INPUT', `'${name}' is no name of a table or column`)
}

function firstWords(sql: string): string {
  return sql.trim().split(/\s+/, 4).join(' ')
}
