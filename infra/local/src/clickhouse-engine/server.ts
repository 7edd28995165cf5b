// Enough of ClickHouse's HTTP interface for @clickhouse/client in other processes. Development and tests only.
import { randomUUID, timingSafeEqual, hash } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  createBrotliDecompress,
  createGunzip,
  createGzip,
  createInflate,
  createZstdDecompress,
  gzipSync
} from 'node:zlib'
import { toError } from '@millrace/kernel'
import { EngineError } from './engine.ts'
import type { Engine, EngineSession, Work } from './engine.ts'
import { refusalOf } from './refused.ts'
import { parseRequest } from './request.ts'
import type { EngineRequest } from './request.ts'
import {
  canStream,
  formatOf,
  insertTarget,
  isMultiStatement,
  killTarget,
  kindOf,
  withoutFormat,
  withoutTerminator
} from './statement.ts'

export interface ServerOptions {
  readonly engine: Engine
  readonly user: string
  readonly password: string
}

/** HTTP status by ClickHouse error code; 500 for all others. */
const statusByCode: Readonly<Record<number, number>> = {
  16: 404,
  47: 404,
  60: 404,
  81: 404,
  62: 400,
  159: 408,
  164: 403,
  192: 401,
  193: 401,
  202: 503,
  48: 501,
  497: 403,
  516: 401
}

/** An HTTP server that does not listen yet. */
export function createEngineServer(options: ServerOptions): Server {
  // Parameters of a query stand in the URL; a real server takes as much (http_max_uri_size).
  const server = createServer({ maxHeaderSize: 1024 * 1024 }, (request, response) => {
    handle(options, request, response).catch((error: unknown) => fail(options, response, error))
  })
  // Longer than the clients' idle time, so that a kept connection is closed by them and never under a request.
  server.keepAliveTimeout = 30_000
  return server
}

async function handle(options: ServerOptions, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const { engine } = options
  const url = message.url ?? '/'
  if (url.startsWith('/ping')) return void response.end('Ok.\n')
  const body = await readBody(message)
  const request = parseRequest({ method: message.method ?? 'GET', url, headers: message.headers }, body, randomUUID())
  if (request.sql.trim() === '' && request.method === 'GET') return void response.end('Ok.\n')
  response.setHeader('X-ClickHouse-Query-Id', request.queryId)
  response.setHeader('X-ClickHouse-Server-Display-Name', 'millrace-local')
  response.setHeader('X-ClickHouse-Timezone', 'UTC')
  response.setHeader('Content-Type', 'text/plain; charset=UTF-8')
  authenticate(options, request)
  const { sql, rows } = inspect(request)
  const refused = rows === undefined ? refusalOf(request, sql, kindOf(sql) === 'kill') : undefined
  if (refused !== undefined) throw new EngineError(refused.code, refused.message)
  if (kindOf(sql) === 'kill') {
    await engine.kill(killTarget(sql) ?? '')
    return void response.end()
  }
  if (engine.isRunning(request.queryId)) {
    throw new EngineError(
      216,
      `Code: 216. DB::Exception: Query with id = ${request.queryId} is already running. (QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING)`
    )
  }
  let finished = false
  response.on('close', () => {
    if (!finished) void engine.kill(request.queryId)
  })
  const startedAt = process.hrtime.bigint()
  try {
    await engine.use(request, (session) => execute({ session, request, response, sql, rows, startedAt }))
  } finally {
    finished = true
  }
}

function authenticate({ user, password }: ServerOptions, request: EngineRequest): void {
  const same = (a: string, b: string): boolean =>
    timingSafeEqual(hash('sha256', a, 'buffer'), hash('sha256', b, 'buffer'))
  if (same(user, request.user) && same(password, request.password)) return
  throw new EngineError(
    516,
    `Code: 516. DB::Exception: ${request.user}: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)`
  )
}

/** The one statement of a request, and the rows of an INSERT apart from it. */
function inspect(request: EngineRequest): { sql: string; rows: Buffer | undefined } {
  const insert = kindOf(request.sql) === 'insert'
  const sql = insert || request.data === undefined ? request.sql : `${request.sql}${request.data.toString('utf8')}`
  if (insert) return { sql, rows: request.data }
  if (isMultiStatement(sql)) {
    throw new EngineError(
      62,
      'Code: 62. DB::Exception: Syntax error (Multi-statements are not allowed). (SYNTAX_ERROR)'
    )
  }
  return { sql: withoutTerminator(sql), rows: undefined }
}

interface Execution {
  readonly session: EngineSession
  readonly request: EngineRequest
  readonly response: ServerResponse
  readonly sql: string
  readonly rows: Buffer | undefined
  readonly startedAt: bigint
}

async function execute(execution: Execution): Promise<void> {
  const { session, request, response, sql, rows } = execution
  if (rows !== undefined) {
    const target = insertTarget(sql)
    const work =
      target === undefined
        ? (await session.run(`${sql}\n${rows.toString('utf8')}`, 'TabSeparated')).work
        : await session.insert(target, rows)
    summarize(execution, work)
    return void response.end()
  }
  const format = formatOf(sql) ?? request.defaultFormat ?? 'TabSeparated'
  if (canStream(sql, format)) return await stream(execution, format)
  const { body, work } = await session.run(sql, format)
  summarize(
    execution,
    kindOf(sql) === 'insert' ? { ...work, writtenRows: work.readRows, writtenBytes: work.readBytes } : work
  )
  response.setHeader('X-ClickHouse-Format', format)
  if (!request.acceptsGzip) return void response.end(body)
  response.setHeader('Content-Encoding', 'gzip')
  response.end(gzipSync(body, { level: 1 }))
}

/** Sends rows while the engine makes them. The first chunk decides between status 200 and an error. */
async function stream({ session, request, response, sql }: Execution, format: string): Promise<void> {
  const chunks = session.stream(withoutFormat(sql), format)
  const first = await chunks.next()
  response.setHeader('X-ClickHouse-Format', format)
  if (request.acceptsGzip) response.setHeader('Content-Encoding', 'gzip')
  const source = Readable.from(
    (async function* () {
      for (let next = first; next.done !== true; next = await chunks.next()) yield next.value
    })()
  )
  if (request.acceptsGzip) await pipeline(source, createGzip({ level: 1 }), response)
  else await pipeline(source, response)
}

function summarize({ response, startedAt }: Execution, work: Work): void {
  const summary = {
    read_rows: String(work.readRows),
    read_bytes: String(work.readBytes),
    written_rows: String(work.writtenRows),
    written_bytes: String(work.writtenBytes),
    total_rows_to_read: '0',
    result_rows: String(work.writtenRows),
    result_bytes: String(work.writtenBytes),
    elapsed_ns: String(process.hrtime.bigint() - startedAt)
  }
  response.setHeader('X-ClickHouse-Summary', JSON.stringify(summary))
}

function fail({ engine }: ServerOptions, response: ServerResponse, thrown: unknown): void {
  // Half an answer must not look whole: the connection is cut, as a real server does.
  if (response.headersSent) return void response.destroy()
  const error = toError(thrown)
  const code = error instanceof EngineError ? error.code : 1002
  response.removeHeader('Content-Encoding')
  response.statusCode = statusByCode[code] ?? 500
  response.setHeader('X-ClickHouse-Exception-Code', String(code))
  response.end(`${error.message} (version ${engine.version} (chdb))\n`)
}

async function readBody(message: IncomingMessage): Promise<Buffer> {
  const decoders = {
    gzip: createGunzip,
    deflate: createInflate,
    br: createBrotliDecompress,
    zstd: createZstdDecompress
  }
  const encoding = message.headers['content-encoding'] as keyof typeof decoders | undefined
  const decoder = encoding === undefined ? undefined : decoders[encoding]
  const chunks: Buffer[] = []
  // A failing decoder ends the loop with its error; pipe alone would not hand on an abort of the request.
  if (decoder === undefined) for await (const chunk of message) chunks.push(chunk as Buffer)
  else await pipeline(message, decoder(), async (source) => await collect(source, chunks))
  return Buffer.concat(chunks)
}

async function collect(source: AsyncIterable<Buffer>, chunks: Buffer[]): Promise<void> {
  for await (const chunk of source) chunks.push(chunk)
}
