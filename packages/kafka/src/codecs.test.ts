import { describe, expect, it } from 'vitest'
import { compressZstd, decompressZstd } from './codecs.ts'

/** Text that compresses to about half, `bytes` long. */
const text = (bytes: number): Buffer =>
  Buffer.from(
    Array.from({ length: bytes / 8 }, (_, index) => (index * 2_654_435_761).toString(36).slice(0, 8)).join('')
  )

describe('zstd', () => {
  it.each([0, 1_000, 600_000])('gives back what it was given, of %i bytes', async (bytes) => {
    const data = text(bytes)
    const packed = await compressZstd(data)
    expect(packed.subarray(0, 4)).toEqual(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))
    expect(await decompressZstd(packed)).toEqual(data)
  })

  it('handles a small batch within the turn and a large one elsewhere', () => {
    expect(compressZstd(text(1_000))).toBeInstanceOf(Buffer)
    expect(compressZstd(text(600_000))).toBeInstanceOf(Promise)
  })

  it('fails for bytes that are not zstd, whatever their size', async () => {
    const decompress = async (bytes: number): Promise<Buffer> => await decompressZstd(Buffer.alloc(bytes, 7))
    await expect(decompress(100)).rejects.toThrow(/frame|descriptor|prefix/i)
    await expect(decompress(200_000)).rejects.toThrow(/frame|descriptor|prefix/i)
  })
})
