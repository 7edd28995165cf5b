// Request bodies in a Content-Encoding. What comes out is bounded by size and by its ratio to what came in, whatever the
// stream claims, so a bomb costs what a body costs. Larger bodies are opened on other threads, as far as there is room.
import type { Transform } from 'node:stream'
import * as zlib from 'node:zlib'
import type { TurnedAway } from '../admission.ts'

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

export type Decoded =
  | { readonly kind: 'ok'; readonly body: Buffer }
  | { readonly kind: 'too_large' | 'broken' }
  | TurnedAway

export interface DecodeLimits {
  /** Bytes that may come out at most. */
  readonly maxBytes: number
  /** Times the size of the input that may come out at most; what is below `freeBytes` has no ratio. */
  readonly maxRatio: number
  readonly freeBytes: number
  /** Told how much has come out; what it answers ends the decoding. */
  readonly grow: (bytes: number) => TurnedAway | undefined
}

/** Opening this much takes a millisecond; a thread would cost more than that. */
const inlineBytes = 4 * 1024

/** A window this large is what level 19 uses; the format would allow a frame to ask for 128 MiB and more. */
const zstdParams = { [zlib.constants.ZSTD_d_windowLogMax]: 23 }

/** The bytes inside `input`. Never rejects. */
export function decodeBody(input: Buffer, encoding: Encoding, limits: DecodeLimits): Decoded | Promise<Decoded> {
  if (input.length === 0) return { kind: 'broken' }
  const allowed = Math.max(input.length * limits.maxRatio, limits.freeBytes)
  const maxOutputLength = Math.min(limits.maxBytes, allowed)
  const { now, open } = codecs[encoding === 'deflate' && !hasZlibHeader(input) ? 'deflate-raw' : encoding]
  if (input.length > inlineBytes) return decodeLater(input, open(), maxOutputLength, limits.grow)
  try {
    const { buffer, engine } = now(input, { maxOutputLength, info: true })
    return limits.grow(buffer.length) ?? finish(input, buffer, engine)
  } catch (error) {
    return failed(error)
  }
}

/** What comes out is counted as it does: a small body may become a large one. */
function decodeLater(input: Buffer, engine: Engine, maxBytes: number, grow: DecodeLimits['grow']): Promise<Decoded> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    const end = (decoded: Decoded): void => {
      engine.removeAllListeners('data')
      engine.destroy()
      resolve(decoded)
    }
    engine.on('data', (chunk: Buffer) => {
      size += chunk.length
      const refusal = size > maxBytes ? tooLarge : grow(size)
      if (refusal !== undefined) return end(refusal)
      chunks.push(chunk)
    })
    engine.on('end', () => end(finish(input, Buffer.concat(chunks, size), engine)))
    engine.on('error', () => end(broken))
    engine.end(input)
  })
}

const tooLarge: Decoded = { kind: 'too_large' }
const broken: Decoded = { kind: 'broken' }

interface Options {
  readonly maxOutputLength: number
  readonly info: true
}

type Engine = Transform & { readonly bytesWritten: number }

/** What the functions of node:zlib give with `info`, which their types leave out. */
interface Opened {
  readonly buffer: Buffer
  readonly engine: Pick<Engine, 'bytesWritten'>
}

interface Codec {
  now(input: Buffer, options: Options): Opened
  open(): Engine
}

/** Each chunk is one turn on another thread. */
const chunkSize = 64 * 1024

const codecs = {
  gzip: { now: zlib.gunzipSync, open: () => zlib.createGunzip({ chunkSize }) },
  deflate: { now: zlib.inflateSync, open: () => zlib.createInflate({ chunkSize }) },
  'deflate-raw': { now: zlib.inflateRawSync, open: () => zlib.createInflateRaw({ chunkSize }) },
  br: { now: zlib.brotliDecompressSync, open: () => zlib.createBrotliDecompress({ chunkSize }) },
  zstd: {
    now: (input: Buffer, options: Options) => zlib.zstdDecompressSync(input, { ...options, params: zstdParams }),
    open: () => zlib.createZstdDecompress({ chunkSize, params: zstdParams })
  }
} as unknown as Readonly<Record<Encoding | 'deflate-raw', Codec>>

/** `deflate` is the zlib format by the standard; some clients send the bare stream. */
function hasZlibHeader(input: Buffer): boolean {
  const [method = 0, flags = 0] = input
  return (method & 0x0f) === 8 && (method * 256 + flags) % 31 === 0
}

/** Bytes behind the end of the stream would be lost without a word, such as a second zstd frame. */
function finish(input: Buffer, body: Buffer, engine: Opened['engine']): Decoded {
  return engine.bytesWritten === input.length ? { kind: 'ok', body } : broken
}

function failed(error: unknown): Decoded {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge : broken
}
