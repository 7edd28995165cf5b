// ClickHouse's HTTP interface as a value: what a request asks for, from its URL, headers and body.
// https://clickhouse.com/docs/interfaces/http

/** One request after decoding. */
export interface EngineRequest {
  readonly method: string
  readonly sql: string
  /** Rows of an INSERT, when the statement stood in the URL. */
  readonly data: Buffer | undefined
  readonly queryId: string
  readonly database: string | undefined
  readonly sessionId: string | undefined
  readonly user: string
  readonly password: string
  /** Settings and `param_*` values in the order given; `readonly` and `log_comment` are apart. */
  readonly settings: readonly (readonly [name: string, value: string])[]
  readonly readonly: string
  readonly logComment: string
  readonly defaultFormat: string | undefined
  readonly acceptsGzip: boolean
}

const notSettings = new Set(
  (
    'query database query_id session_id session_timeout session_check user password role default_format compress ' +
    'decompress quota_key wait_end_of_query enable_http_compression http_zlib_compression_level ' +
    'send_progress_in_http_headers http_headers_progress_interval_ms cancel_http_readonly_queries_on_client_close ' +
    'buffer_size http_response_buffer_size http_write_exception_in_output_format log_comment readonly workload'
  ).split(' ')
)

/** The headers a request is read from. */
export type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>

/** Reads a request; `freshId` is used when the client names no query id. */
export function parseRequest(
  message: { readonly method: string; readonly url: string; readonly headers: RequestHeaders },
  body: Buffer,
  freshId: string
): EngineRequest {
  const parameters = new URL(message.url, 'http://engine').searchParams
  const inUrl = parameters.get('query') ?? ''
  const queryId = parameters.get('query_id') ?? freshId
  const { user, password } = credentials(message.headers, parameters)
  const settings = [...parameters].filter(
    ([name]) => name.startsWith('param_') || (!notSettings.has(name) && /^[A-Za-z_]\w*$/.test(name))
  )
  return {
    method: message.method,
    sql: inUrl === '' ? body.toString('utf8') : inUrl,
    data: inUrl === '' || body.length === 0 ? undefined : body,
    queryId,
    database: parameters.get('database') ?? header(message.headers, 'x-clickhouse-database'),
    sessionId: parameters.get('session_id') ?? undefined,
    user,
    password,
    settings,
    // A GET is readonly on a real server: it may change settings of its own but no data.
    readonly: parameters.get('readonly') ?? (message.method === 'GET' ? '2' : '0'),
    logComment: parameters.get('log_comment') ?? '',
    defaultFormat: parameters.get('default_format') ?? header(message.headers, 'x-clickhouse-format'),
    acceptsGzip:
      parameters.get('enable_http_compression') === '1' &&
      /\bgzip\b/.test(header(message.headers, 'accept-encoding') ?? '')
  }
}

function credentials(headers: RequestHeaders, parameters: URLSearchParams): { user: string; password: string } {
  const basic = /^Basic (.+)$/.exec(header(headers, 'authorization') ?? '')?.[1]
  if (basic !== undefined) {
    const text = Buffer.from(basic, 'base64').toString()
    const colon = text.indexOf(':')
    return colon < 0 ? { user: text, password: '' } : { user: text.slice(0, colon), password: text.slice(colon + 1) }
  }
  return {
    user: header(headers, 'x-clickhouse-user') ?? parameters.get('user') ?? 'default',
    password: header(headers, 'x-clickhouse-key') ?? parameters.get('password') ?? ''
  }
}

function header(headers: RequestHeaders, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}
