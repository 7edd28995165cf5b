// One process of a group in the integration tests: writes down every record it handled, flushed to disk before the
// commit. Argument: MemberArguments as JSON. Prints `ready` once it holds partitions; SIGTERM stops it in order.
import { appendFileSync, closeSync, fsyncSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { kafkaFields, load } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import { dead, done, systemClock } from '@millrace/kernel'
import { createRegistry, createSilentLogger } from '@millrace/observability'
import { item, startConsumer, topicFamily } from '../src/index.ts'

export interface MemberArguments {
  readonly brokers: string
  readonly group: string
  /** Topics that begin with this are read, but not those that end in `.dlq`. */
  readonly prefix: string
  readonly ledger: string
  readonly scope: 'lane' | 'process'
}

const { brokers, group, prefix, ledger, scope } = JSON.parse(process.argv[2] ?? '') as MemberArguments
const log = createSilentLogger()
await using kafka = await openKafka(load(kafkaFields, { KAFKA_BROKERS: brokers }), { log })
await using admin = await kafka.admin()
await using producer = await kafka.producer()
const file = openSync(ledger, 'a')
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())

await using consumer = await startConsumer<{ place: string; text: string }>(
  {
    name: 'member',
    group,
    topics: topicFamily({ admin, belongs: (topic) => topic.startsWith(prefix) && !topic.endsWith('.dlq') }),
    policy: { maxRows: 50, maxBytes: 8_000_000, maxAgeMs: 100, scope },
    decode: (record) => {
      const text = record.value?.subarray(0, 8).toString() ?? ''
      if (text.startsWith('bad')) return { kind: 'dead', reason: 'parse', cause: new Error('not an event') }
      return item({ place: `${record.topic}:${record.partition}:${record.offset}`, text })
    },
    async handle({ items }) {
      await sleep(20)
      if (items.length > 0) appendFileSync(file, items.map(({ place }) => `${place}\n`).join(''))
      fsyncSync(file)
      return items.map(({ text }) => (text.startsWith('wide') ? dead('size', new Error('too wide')) : done))
    },
    settings: {
      sessionTimeoutMs: 6_000,
      heartbeatIntervalMs: 500,
      rebalanceTimeoutMs: 10_000,
      topicRefreshMs: 3_000,
      drainMs: 1_000
    }
  },
  {
    client: kafka.consumers,
    letters: { producer, topicFor: () => `${prefix}.dlq`, appVersion: 'test' },
    log,
    registry: createRegistry(),
    clock: systemClock,
    signal: stop.signal
  }
)
while (!consumer.ready() && !stop.signal.aborted) await sleep(50)
process.stdout.write('ready\n')
await consumer.done
closeSync(file)
