// The response table as tests and other programs read it: each row a request and what must be answered. In its texts
// {e1}, {e2}, ... stand for event ids; a run against a real gateway gives each row ids of its own.
import * as zlib from 'node:zlib'
import { toBytes } from './bad-input.ts'
import type { Part } from './bad-input.ts'
import table from './fixtures/responses.json' with { type: 'json' }

/** One row. `dedup`, `log`, `busy`, `limited`, `schema` and `corsOrigins` set the scene, which only fakes can do. */
export interface Row {
  readonly name: string
  readonly method?: 'GET' | 'POST' | 'OPTIONS' | 'PUT'
  readonly path?: string
  readonly headers?: Record<string, string>
  /** A text, or parts of a large one; the default body when absent. */
  readonly body?: string | readonly Part[]
  /** How the body is encoded before it is sent. */
  readonly encode?: 'gzip' | 'deflate' | 'deflate-raw' | 'br' | 'zstd'
  /** Bytes of the encoded body that are sent; the whole of it when absent. */
  readonly cutTo?: number
  readonly dedup?: string
  readonly log?: string
  readonly busy?: boolean
  readonly limited?: boolean
  readonly schema?: 'mismatch' | 'unknown' | 'dropped'
  readonly corsOrigins?: readonly string[]
  readonly status: number
  /** The whole reply. */
  readonly reply?: object
  /** The items of a batch, without their `detail`. */
  readonly items?: readonly object[]
  /** Members of a problem. */
  readonly code?: string
  readonly pointer?: string
  readonly eventId?: string
  /** Seconds, before jitter. */
  readonly retryAfter?: number
  readonly replyHeaders?: Readonly<Record<string, string>>
  readonly stored: number
  /** Headers of the first record. */
  readonly header?: Readonly<Record<string, string>>
}

// The JSON type is a union over all rows; every row has this form.
export const rows = table.cases as unknown as readonly Row[]

/** Whether a row needs no scene: it holds for any gateway with a good write key. */
export function isLive({ dedup, log, busy, limited, schema, corsOrigins, headers }: Row): boolean {
  if ([dedup, log, busy, limited, schema, corsOrigins].some((scene) => scene !== undefined)) return false
  return headers === undefined || !/readonly|away|mr_s_/.test(JSON.stringify(headers))
}

export interface TableRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
}

/** What a run puts in place of the names in the table. */
export interface Names {
  /** The id for `e1`, `e2`, ... */
  readonly id: (name: string) => string
  /** The key for `mr_w_good`. */
  readonly key: string
}

/** The names as the table has them. */
export const plainNames: Names = { id: (name) => name, key: 'mr_w_good' }

/** The request of a row. */
export function requestOf(row: Row, names: Names): TableRequest {
  const method = row.method ?? 'POST'
  const text = (value: string): string => fill(value, names)
  const headers = row.headers ?? { authorization: 'Bearer mr_w_good', 'content-type': 'application/json' }
  const parts = row.body ?? table.body
  const plain = typeof parts === 'string' ? Buffer.from(text(parts)) : Buffer.concat(parts.map(toBytes))
  const encoded = row.encode === undefined ? plain : encoders[row.encode](plain)
  return {
    method,
    path: row.path ?? '/v1/events',
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, text(value)])),
    body: method === 'POST' ? encoded.subarray(0, row.cutTo ?? encoded.length) : undefined
  }
}

const encoders = {
  gzip: zlib.gzipSync,
  deflate: zlib.deflateSync,
  'deflate-raw': zlib.deflateRawSync,
  br: zlib.brotliCompressSync,
  zstd: zlib.zstdCompressSync
} as const

/** The parts of a reply that a row speaks of. */
export interface Outcome {
  readonly status: number
  readonly contentType: string | undefined
  readonly retryAfter: boolean
  readonly body: unknown
  readonly headers: Readonly<Record<string, string | undefined>>
}

/** What the reply to a row must be. */
export function expectedOf(row: Row, names: Names): Outcome {
  const filled = JSON.parse(fill(JSON.stringify(row), names)) as Row
  const { status, reply, items, code, pointer, eventId, replyHeaders = {} } = filled
  const isProblem = code !== undefined
  const problem = { status, code, pointer, eventId }
  const none = status === 204
  return {
    status,
    contentType: none
      ? undefined
      : isProblem
        ? 'application/problem+json; charset=utf-8'
        : 'application/json; charset=utf-8',
    retryAfter: filled.retryAfter !== undefined,
    body: none ? undefined : isProblem ? problem : (reply ?? { items }),
    headers: replyHeaders
  }
}

/** The same of what came: `header` reads a header of the reply, `text` is its body. */
export function outcomeOf(
  row: Row,
  status: number,
  header: (name: string) => string | undefined,
  text: string
): Outcome {
  const body = text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>)
  const names = Object.keys(row.replyHeaders ?? {})
  return {
    status,
    contentType: header('content-type'),
    retryAfter: header('retry-after') !== undefined,
    body: body === undefined ? undefined : readBody(body),
    headers: Object.fromEntries(names.map((name) => [name, header(name)]))
  }
}

function readBody(body: Record<string, unknown>): unknown {
  if (Array.isArray(body['items'])) {
    return { items: body['items'].map(({ detail: _detail, ...item }: Record<string, unknown>) => item) }
  }
  if (body['code'] === undefined) return body
  const { status, code, pointer, eventId } = body
  return { status, code, pointer, eventId }
}

function fill(text: string, { id, key }: Names): string {
  return text.replaceAll(/\{(e\d+)\}/g, (_, name: string) => id(name)).replaceAll('mr_w_good', key)
}
