import kafkajs from 'kafkajs'
import type { Kafka as KafkaJS } from 'kafkajs'
import { createManualClock } from '@millrace/kernel'
import { expect, test } from 'vitest'
import { openAdmin } from './kafkajs-admin.ts'

const protocolError = (type: string, code: number): Error =>
  new kafkajs.KafkaJSProtocolError({ type, code, message: type, retriable: false } as never)
const notKnownYet = protocolError('UNKNOWN_TOPIC_OR_PARTITION', 3)
const invalid = protocolError('INVALID_REPLICATION_FACTOR', 38)

/** An admin over a client whose `createTopics` fails in this order, and then answers. */
async function setup(...failures: readonly Error[]) {
  const clock = createManualClock()
  const created: string[] = []
  const left = [...failures]
  const admin = {
    connect: async () => {},
    disconnect: async () => {},
    createTopics: async ({ topics }: { topics: readonly { topic: string }[] }) => {
      created.push(...topics.map(({ topic }) => topic))
      const failure = left.shift()
      if (failure !== undefined) throw failure
      return false
    }
  }
  // Only what creating topics needs.
  const opened = await openAdmin(() => ({ admin: () => admin }) as unknown as KafkaJS, clock)
  const create = (...names: readonly string[]) =>
    opened.createTopics(names.map((topic) => ({ topic, partitions: 1, replicationFactor: 1, config: {} })))
  return { clock, created, create }
}

test('a topic that its broker does not know yet is asked for once more, and the next one is made after it', async () => {
  const { clock, created, create } = await setup(notKnownYet)
  const done = create('one', 'two')
  await clock.advance(99)
  expect(created).toEqual(['one'])
  await clock.advance(1)
  await done
  expect(created).toEqual(['one', 'one', 'two'])
})

test('a topic that is refused is not asked for again', async () => {
  const { created, create } = await setup(invalid)
  await expect(create('one')).rejects.toThrow('creating topics')
  expect(created).toEqual(['one'])
})
