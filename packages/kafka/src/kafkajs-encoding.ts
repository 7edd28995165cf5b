// Chooses who encodes and decodes record batches. Our code replaces a part of the client by its inside, so it is used only
// with the very files it was made for and compared with; with any other version the client does it by itself.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Logger } from '@millrace/observability'
import { useFastDecoding } from './kafkajs-decoding.ts'
import { useFastEncoding } from './kafkajs-shim.ts'

/** What of the client is replaced, calls the replacement, or says which bytes have to come out. */
const files = [
  'consumer/batch.js',
  'encoding.js',
  'protocol/decoder.js',
  'protocol/encoder.js',
  'protocol/message/compression/index.js',
  'protocol/recordBatch/record/v0/decoder.js',
  'protocol/recordBatch/record/v0/index.js',
  'protocol/recordBatch/v0/decoder.js',
  'protocol/recordBatch/v0/index.js',
  'protocol/requests/fetch/v4/decodeMessages.js',
  'protocol/requests/produce/v3/request.js',
  'protocol/requests/produce/v7/request.js'
]

/** The fingerprint of kafkajs 2.2.4 with patches/kafkajs@2.2.4.patch. After a change: the test of the shim, then this. */
export const madeFor = '37eb7955107af82c'

/** Switches our code on when it is wanted and fits the client that is installed; otherwise the client's own is used. */
export function chooseEncoding(
  wanted: boolean,
  log: Pick<Logger, 'warn'>,
  read: (file: string) => Buffer = readSource
): void {
  const found = wanted ? fingerprintOf(read) : madeFor
  if (found !== madeFor) {
    log.warn(
      { madeFor, found },
      'another kafkajs than the fast encoding was made for: it encodes and decodes by itself, slower'
    )
  }
  const fits = wanted && found === madeFor
  useFastEncoding(fits)
  useFastDecoding(fits)
}

/** A short hash of the files, in order. */
export function fingerprintOf(read: (file: string) => Buffer): string {
  const hash = createHash('sha256')
  for (const file of files) hash.update(file).update(read(file))
  return hash.digest('hex').slice(0, 16)
}

/** A source file of the installed client. */
export function readSource(file: string): Buffer {
  return readFileSync(createRequire(import.meta.url).resolve(`kafkajs/src/${file}`))
}
