// Compression of record batches. zstd comes from node:zlib at level 1: the client itself knows only gzip.
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib'
import { promisify } from 'node:util'
import kafkajs from 'kafkajs'
import type { CompressionTypes } from 'kafkajs'

/** How a producer compresses its batches; consumers read all of them whatever is set here. */
export type Compression = 'none' | 'gzip' | 'zstd'

/** Below it a batch is done at once: under a millisecond, where the way to another thread and back costs more. */
const syncBytes = 512 * 1024
/** Of a compressed batch, which is about eight times as long afterwards. */
const syncPackedBytes = 64 * 1024
const compressElsewhere = promisify(zstdCompress)
const decompressElsewhere = promisify(zstdDecompress)
const level1 = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

const types: Readonly<Record<Compression, CompressionTypes>> = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  zstd: kafkajs.CompressionTypes.ZSTD
}

/** The client's number for a codec. */
export function compressionType(compression: Compression): CompressionTypes {
  return types[compression]
}

/** Teaches the client zstd. Its codec table is global to the process; installing twice changes nothing. */
export function installCodecs(): void {
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => ({
    compress: async (encoder: { readonly buffer: Buffer }) => await compressZstd(encoder.buffer),
    decompress: async (buffer: Buffer) => await decompressZstd(buffer)
  })
}

/** `data` as one zstd frame of level 1. */
export function compressZstd(data: Buffer): Buffer | Promise<Buffer> {
  return data.byteLength <= syncBytes ? zstdCompressSync(data, level1) : compressElsewhere(data, level1)
}

/** What `compressZstd` was given; throws, or rejects, for what is not zstd. */
export function decompressZstd(data: Buffer): Buffer | Promise<Buffer> {
  const options = { chunkSize: pieceBytes(data) }
  return data.byteLength <= syncPackedBytes ? zstdDecompressSync(data, options) : decompressElsewhere(data, options)
}

const fewestBytes = 1024
const mostBytes = 8 * 1024 ** 2

/**
 * Bytes of one piece of output, so that all of it is one: left alone the library makes pieces of 16 KiB and joins them. A
 * frame may say what it holds (RFC 8878, 3.1.1.1); it is not believed beyond a limit.
 */
function pieceBytes(frame: Buffer): number {
  const held = frame.byteLength < 18 ? undefined : contentSize(frame)
  // One byte more, since a piece that is full makes the library look for the next one.
  return Math.min(mostBytes, Math.max(fewestBytes, (held ?? frame.byteLength * 8) + 1))
}

function contentSize(frame: Buffer): number | undefined {
  const descriptor = frame.readUInt8(4)
  const isSingleSegment = (descriptor & 0x20) !== 0
  const at = 5 + (isSingleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!
  switch (descriptor >> 6) {
    case 0:
      return isSingleSegment ? frame.readUInt8(at) : undefined
    case 1:
      return frame.readUInt16LE(at) + 256
    case 2:
      return frame.readUInt32LE(at)
    default:
      return Number(frame.readBigUInt64LE(at))
  }
}
