import { describe, expect, it } from 'vitest'
import * as zlib from 'node:zlib'
import { decodeBody, encodingOf } from './content-encoding.ts'
import type { Encoding } from './content-encoding.ts'

const limits = { maxBytes: 1_000_000, maxRatio: 100, freeBytes: 10_000, grow: () => undefined }
const encoders: Record<Encoding, (input: Buffer) => Buffer> = {
  gzip: zlib.gzipSync,
  deflate: zlib.deflateSync,
  // The default quality takes seconds for a megabyte.
  br: (body) => zlib.brotliCompressSync(body, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } }),
  zstd: zlib.zstdCompressSync
}
const encodings = Object.keys(encoders) as Encoding[]

/** Text that compresses by half, so that large bodies stay large. */
function noise(bytes: number): Buffer {
  let seed = 7
  const text = Array.from({ length: bytes }, () => {
    seed = (seed * 48_271) % 2_147_483_647
    return String.fromCharCode(97 + (seed % 16))
  })
  return Buffer.from(text.join(''))
}

describe.each(encodings)('a %s body', (encoding) => {
  it.each([100, 100_000])('of %i bytes is opened', async (bytes) => {
    const body = noise(bytes)
    expect(await decodeBody(encoders[encoding](body), encoding, limits)).toEqual({ kind: 'ok', body })
  })

  it('that opens on this thread answers at once', () => {
    expect(decodeBody(encoders[encoding](noise(100)), encoding, limits)).not.toBeInstanceOf(Promise)
  })

  it.each([2_000, 200_000])('of %i bytes that is cut is broken', async (bytes) => {
    const encoded = encoders[encoding](noise(bytes))
    expect(await decodeBody(encoded.subarray(0, -1), encoding, limits)).toEqual({ kind: 'broken' })
  })

  it('beyond the bound of bytes is too large', async () => {
    expect(await decodeBody(encoders[encoding](noise(1_000_001)), encoding, limits)).toEqual({ kind: 'too_large' })
    expect(await decodeBody(encoders[encoding](noise(1_000_000)), encoding, limits)).toMatchObject({ kind: 'ok' })
  })

  it('that grows more than a hundredfold is too large, unless it is small', async () => {
    expect(await decodeBody(encoders[encoding](Buffer.alloc(500_000, 97)), encoding, limits)).toEqual({
      kind: 'too_large'
    })
    expect(await decodeBody(encoders[encoding](Buffer.alloc(10_000, 97)), encoding, limits)).toMatchObject({
      kind: 'ok'
    })
  })

  it.each([4_000, 200_000])('of %i bytes is not opened farther than there is room', async (bytes) => {
    const turnedAway = { kind: 'turned-away', reason: 'bytes', retryAfterMs: 1_000 } as const
    const sizes: number[] = []
    const grow = (size: number) => {
      sizes.push(size)
      return size > 3_000 ? turnedAway : undefined
    }
    expect(await decodeBody(encoders[encoding](noise(bytes)), encoding, { ...limits, grow })).toBe(turnedAway)
    // The first chunk that has no room is the last.
    expect(sizes.map((size) => size > 3_000)).toEqual([true])
    expect(sizes[0]).toBeLessThan(100_000)
  })

  it('with something behind it is broken: a second stream would be lost without a word', async () => {
    const encoded = encoders[encoding](noise(100))
    const tail = encoding === 'gzip' ? Buffer.from('x') : encoded
    expect(await decodeBody(Buffer.concat([encoded, tail]), encoding, limits)).toEqual({ kind: 'broken' })
  })

  it.each(['', '{"eventType":"a"}'])('that is %j is broken', async (text) => {
    expect(await decodeBody(Buffer.from(text), encoding, limits)).toEqual({ kind: 'broken' })
  })
})

describe('encodings', () => {
  it('reads several gzip members as one body, as the format has it', async () => {
    const encoded = Buffer.concat([zlib.gzipSync('ab'), zlib.gzipSync('cd')])
    expect(await decodeBody(encoded, 'gzip', limits)).toEqual({ kind: 'ok', body: Buffer.from('abcd') })
  })

  it('reads a bare deflate stream', async () => {
    const body = noise(5_000)
    expect(await decodeBody(zlib.deflateRawSync(body), 'deflate', limits)).toEqual({ kind: 'ok', body })
  })

  it('refuses a zstd frame that asks for a window of 128 MiB, and takes one of 8 MiB', async () => {
    // Magic, no flags, the window as a power of two, and one last raw block of four bytes.
    const frame = (windowLog: number): Buffer =>
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3, 0x21, 0, 0, ...Buffer.from('abcd')])
    expect(await decodeBody(frame(27), 'zstd', limits)).toEqual({ kind: 'broken' })
    expect(await decodeBody(frame(23), 'zstd', limits)).toEqual({ kind: 'ok', body: Buffer.from('abcd') })
  })

  it.each([
    [undefined, 'identity'],
    ['', 'identity'],
    [' GZIP ', 'gzip'],
    ['x-gzip', 'gzip'],
    ['gzip, gzip', undefined],
    ['constructor', undefined],
    ['compress', undefined]
  ])('reads %j as %s', (header, encoding) => {
    expect(encodingOf(header)).toBe(encoding)
  })
})
