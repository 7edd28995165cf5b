import { createRequire } from 'node:module'
import { afterEach, describe, expect, it } from 'vitest'
import { chooseEncoding, fingerprintOf, madeFor, readSource } from './kafkajs-encoding.ts'
import { useFastEncoding } from './kafkajs-shim.ts'

const encoding = createRequire(import.meta.url)('kafkajs/src/encoding.js') as { encodeBatch: unknown }

afterEach(() => useFastEncoding(false))

/** Chooses, and tells whether ours is in use then and what was warned of. */
function choose(wanted: boolean, read?: (file: string) => Buffer): { ours: boolean; warned: unknown[] } {
  const warned: unknown[] = []
  chooseEncoding(wanted, { warn: (fields: unknown) => void warned.push(fields) }, read)
  return { ours: encoding.encodeBatch !== undefined, warned }
}

describe('the encoding of record batches', () => {
  it('is ours with the client that is installed, and its own where ours is not wanted', () => {
    expect(fingerprintOf(readSource)).toBe(madeFor)
    expect(choose(true)).toEqual({ ours: true, warned: [] })
    expect(choose(false)).toEqual({ ours: false, warned: [] })
  })

  it.each(['protocol/recordBatch/v0/index.js', 'protocol/encoder.js', 'encoding.js'])(
    'is that of the client, with a warning, when its %s is another one',
    (changed) => {
      useFastEncoding(true)
      const read = (file: string): Buffer =>
        file === changed ? Buffer.concat([readSource(file), Buffer.from('\n')]) : readSource(file)
      expect(choose(true, read)).toEqual({ ours: false, warned: [{ madeFor, found: fingerprintOf(read) }] })
    }
  )
})
