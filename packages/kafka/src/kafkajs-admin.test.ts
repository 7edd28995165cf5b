import kafkajs from 'kafkajs'
import type { Kafka as KafkaJS } from 'kafkajs'
import { createManualClock } from '@millrace/kernel'
import { expect, test, vi } from 'vitest'
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

const away = new kafkajs.KafkaJSConnectionError('away')

/** Clients whose `listTopics` and `connect` fail when they are told to; `log` says what is called, by client. */
async function setupClients(connects: readonly (Error | undefined)[]) {
  const log: string[] = []
  const asked: PromiseWithResolvers<string[]>[] = []
  let made = 0
  const createClient = () => {
    const name = ++made
    const admin = {
      connect: async () => {
        log.push(`connect ${name}`)
        const failure = connects[name - 1]
        if (failure !== undefined) throw failure
      },
      disconnect: async () => void log.push(`disconnect ${name}`),
      listTopics: () => {
        log.push(`ask ${name}`)
        const answer = Promise.withResolvers<string[]>()
        asked.push(answer)
        return answer.promise
      }
    }
    // Only what listing topics needs.
    return { admin: () => admin } as unknown as KafkaJS
  }
  const opened = await openAdmin(createClient, createManualClock())
  return { log, asked, opened }
}

test('calls that fail through one client drop it once, and never the next one that is in use', async () => {
  const { log, asked, opened } = await setupClients([])
  const [one, two] = [opened.listTopics(), opened.listTopics()]
  await vi.waitFor(() => expect(asked).toHaveLength(2))
  asked[0]?.reject(away)
  await vi.waitFor(() => expect(asked).toHaveLength(3))
  asked[1]?.reject(away)
  await vi.waitFor(() => expect(asked).toHaveLength(4))
  asked[2]?.resolve(['a'])
  asked[3]?.resolve(['b'])
  expect([await one, await two]).toEqual([['a'], ['b']])
  expect(log.filter((line) => line.startsWith('connect'))).toEqual(['connect 1', 'connect 2'])
  expect(log.filter((line) => line.endsWith('2'))).toEqual(['connect 2', 'ask 2', 'ask 2'])
})

test('a client that could not connect is disconnected', async () => {
  const { log, opened, asked } = await setupClients([away])
  const done = opened.listTopics()
  await vi.waitFor(() => expect(asked).toHaveLength(1))
  asked[0]?.resolve([])
  await done
  expect(log).toEqual(['connect 1', 'disconnect 1', 'connect 2', 'ask 2'])
})
