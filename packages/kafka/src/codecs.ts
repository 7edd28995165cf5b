// Compression of record batches. zstd comes from node:zlib at level 1: the client itself knows only gzip.
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import { promisify } from 'node:util'
import kafkajs from 'kafkajs'
import type { CompressionTypes } from 'kafkajs'

/** How a producer compresses its batches; consumers read all of them whatever is set here. */
export type Compression = 'none' | 'gzip' | 'zstd'

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)
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
    compress: (encoder: { readonly buffer: Buffer }) => compress(encoder.buffer, level1),
    decompress: (buffer: Buffer) => decompress(buffer)
  })
}
