// Request bodies in a Content-Encoding. What comes out is bounded by size and by its ratio to what came in, whatever the
// stream claims, so a bomb costs what a body costs. Larger bodies are opened on other threads.
import * as zlib from 'node:zlib'

export type Encoding = 'gzip' | 'deflate' | 'br' | 'zstd'

/** The encoding of a Content-Encoding header; `identity` when there is none to open, undefined when it is unknown. */
export function encodingOf(header: string | undefined): Encoding | 'identity' | undefined {
  if (header === undefined) return 'identity'
  return encodings[header.trim().toLowerCase()]
}

const encodings: Readonly<Record<string, Encoding | 'identity'>> = Object.assign(Object.create(null), {
  '': 'identity',
  identity: 'identity',
  gzip: 'gzip',
  'x-gzip': 'gzip',
  deflate: 'deflate',
  br: 'br',
  zstd: 'zstd'
})

export type Decoded = { readonly kind: 'ok'; readonly body: Buffer } | { readonly kind: 'too_large' | 'broken' }

export interface DecodeLimits {
  /** Bytes that may come out at most. */
  readonly maxBytes: number
  /** Times the size of the input that may come out at most; what is below `freeBytes` has no ratio. */
  readonly maxRatio: number
  readonly freeBytes: number
}

/** Opening this much takes a millisecond; a thread would cost more than that. */
const inlineBytes = 4 * 1024

/** A window this large is what level 19 uses; the format would allow a frame to ask for 128 MiB and more. */
const zstdParams = { [zlib.constants.ZSTD_d_windowLogMax]: 23 }

/** The bytes inside `input`. Never rejects. */
export function decodeBody(input: Buffer, encoding: Encoding, limits: DecodeLimits): Decoded | Promise<Decoded> {
  if (input.length === 0) return { kind: 'broken' }
  const allowed = Math.max(input.length * limits.maxRatio, limits.freeBytes)
  const options = { maxOutputLength: Math.min(limits.maxBytes, allowed), info: true as const }
  const { now, later } = codecs[encoding === 'deflate' && !hasZlibHeader(input) ? 'deflate-raw' : encoding]
  if (input.length > inlineBytes) {
    return new Promise((resolve) =>
      later(input, options, (error, opened) => resolve(error === null ? finish(input, opened) : failed(error)))
    )
  }
  try {
    return finish(input, now(input, options))
  } catch (error) {
    return failed(error)
  }
}

interface Options {
  readonly maxOutputLength: number
  readonly info: true
}

/** What the functions of node:zlib give with `info`, which their types leave out. */
interface Opened {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

interface Codec {
  now(input: Buffer, options: Options): Opened
  later(input: Buffer, options: Options, done: (error: Error | null, opened: Opened) => void): void
}

const codecs = {
  gzip: { now: zlib.gunzipSync, later: zlib.gunzip },
  deflate: { now: zlib.inflateSync, later: zlib.inflate },
  'deflate-raw': { now: zlib.inflateRawSync, later: zlib.inflateRaw },
  br: { now: zlib.brotliDecompressSync, later: zlib.brotliDecompress },
  zstd: {
    now: (input: Buffer, options: Options) => zlib.zstdDecompressSync(input, { ...options, params: zstdParams }),
    later: (input: Buffer, options: Options, done: zlib.CompressCallback) =>
      zlib.zstdDecompress(input, { ...options, params: zstdParams }, done)
  }
} as unknown as Readonly<Record<Encoding | 'deflate-raw', Codec>>

/** `deflate` is the zlib format by the standard; some clients send the bare stream. */
function hasZlibHeader(input: Buffer): boolean {
  const [method = 0, flags = 0] = input
  return (method & 0x0f) === 8 && (method * 256 + flags) % 31 === 0
}

/** Bytes behind the end of the stream would be lost without a word, such as a second zstd frame. */
function finish(input: Buffer, { buffer, engine }: Opened): Decoded {
  return engine.bytesWritten === input.length ? { kind: 'ok', body: buffer } : { kind: 'broken' }
}

function failed(error: unknown): Decoded {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return { kind: code === 'ERR_BUFFER_TOO_LARGE' ? 'too_large' : 'broken' }
}
