import { createRequire } from 'node:module'
import { createRandom } from '@millrace/testkit/random'
import { afterEach, describe, expect, it } from 'vitest'
import { installCodecs } from './codecs.ts'
import { useFastEncoding } from './kafkajs-shim.ts'

const require = createRequire(import.meta.url)

interface Message {
  readonly key: Buffer | string | null
  readonly value: Buffer | string | null
  readonly timestamp?: string
  readonly headers?: Readonly<Record<string, Buffer | string | readonly (Buffer | string)[]>>
}

/** A whole produce request as the client writes it to the socket. */
async function requestBytes(messages: readonly Message[], compression: number): Promise<Buffer> {
  const request = require('kafkajs/src/protocol/requests/produce/v7/request.js') as (options: object) => {
    encode(): Promise<{ readonly buffer: Buffer }>
  }
  const topicData = [{ topic: 'events.demo', partitions: [{ partition: 3, firstSequence: 7, messages }] }]
  return (await request({ acks: -1, timeout: 10_000, compression, topicData }).encode()).buffer
}

afterEach(() => useFastEncoding(false))

describe('useFastEncoding', () => {
  it('writes the same bytes as the client, over random batches and every codec', async () => {
    installCodecs()
    const random = createRandom(20_261_121)
    const text = (most: number): string =>
      Array.from({ length: random.below(most) }, () => random.pick(['a', 'é', '✓', '\u{1F600}', '\0', '"', 'z'])).join(
        ''
      )
    const content = (most: number) => (random.below(2) === 0 ? text(most) : Buffer.from(text(most)))
    const message = (): Message => ({
      key: random.below(5) === 0 ? null : content(40),
      value: random.below(20) === 0 ? null : content(random.below(10) === 0 ? 20_000 : 300),
      // Far apart enough for deltas beyond 32 bits.
      timestamp: String(1_700_000_000_000 + random.below(2) * 90_000_000_000 + random.below(1_000)),
      ...(random.below(2) === 0
        ? {}
        : { headers: { dedup: 'unchecked', [`h${text(3)}`]: content(20), list: [content(5), content(5)] } })
    })
    for (let round = 0; round < 320; round++) {
      const messages = Array.from({ length: 1 + random.below(round % 16 === 0 ? 400 : 20) }, message)
      const compression = random.pick([0, 0, 1, 4])
      useFastEncoding(false)
      const own = await requestBytes(messages, compression)
      useFastEncoding(true)
      const fast = await requestBytes(messages, compression)
      expect(fast.equals(own), `round ${round}, ${messages.length} messages, codec ${compression}`).toBe(true)
    }
  })

  it('is made for this version of the client, and does nothing when it is off', () => {
    expect((require('kafkajs/package.json') as { version: string }).version).toBe('2.2.4')
    const encoding = require('kafkajs/src/encoding.js') as { encodeBatch: unknown }
    useFastEncoding(true)
    expect(encoding.encodeBatch).toBeTypeOf('function')
    useFastEncoding(false)
    expect(encoding.encodeBatch).toBeUndefined()
  })
})
