// What the runtime does with a driver that is less polite than the memory driver.
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { AppError, createManualClock, done } from '@millrace/kernel'
import type { ConsumerClient, GroupHandlers, KafkaRecord } from '@millrace/kafka'
import { createRegistry, createSilentLogger } from '@millrace/observability'
import { fixedTopics, item, startConsumer } from './index.ts'
import type { ConsumerDef } from './index.ts'

const at = { topic: 't', partition: 0 }
const policy = { maxRows: 2, maxBytes: 1_000_000, maxAgeMs: 100, scope: 'lane' } as const

/** A consumer whose driver is the test: `handlers` are called by hand, `calls` is what the member was asked. */
interface Options extends Partial<Pick<ConsumerDef<string>, 'policy' | 'itemBytes' | 'settings'>> {
  readonly joins?: (() => Promise<void>)[]
  readonly handle?: () => void | Promise<void>
  readonly signal?: AbortSignal
}

async function open({ joins: given = [], handle, signal, ...over }: Options = {}) {
  const clock = createManualClock()
  const asked: string[] = []
  const texts: string[] = []
  let handlers: GroupHandlers | undefined
  const joins = [...given]
  const client: ConsumerClient = {
    async join(_options, made) {
      await joins.shift()?.()
      handlers = made
      return {
        pause: (partitions) => void asked.push(`pause ${partitions.length}`),
        resume: (partitions) => void asked.push(`resume ${partitions.length}`),
        seek: (_partition, offset) => void asked.push(`seek ${offset}`),
        commit: async (commits) => {
          asked.push(`commit ${commits.map(({ offset }) => offset).join()}`)
          return 'committed'
        },
        stop: async () => void asked.push('stop')
      }
    }
  }
  const starting = startConsumer<string>(
    {
      name: 'test',
      group: 'g',
      topics: fixedTopics(['t']),
      policy,
      ...over,
      decode: ({ value }) => item(value?.toString() ?? ''),
      async handle({ items }) {
        await handle?.()
        texts.push(...items)
        return items.map(() => done)
      }
    },
    {
      client,
      letters: {
        producer: { produce: async () => [], partitionCount: async () => 1 },
        topicFor: () => 'dlq',
        appVersion: '1'
      },
      log: createSilentLogger(),
      registry: createRegistry(),
      clock,
      ...(signal !== undefined && { signal })
    }
  )
  const driver = (): GroupHandlers => {
    if (handlers === undefined) throw new Error('not joined')
    return handlers
  }
  const deliver = (...offsets: bigint[]) =>
    driver().onBatch({
      ...at,
      records: offsets.map(record),
      highWatermark: 9n,
      nextOffset: (offsets.at(-1) ?? 0n) + 1n
    })
  return { clock, asked, texts, starting, driver, deliver }
}

function record(offset: bigint): KafkaRecord {
  const value = Buffer.from(`r${offset}`)
  return { ...at, offset, key: null, value, headers: {}, appendedAtMs: 0 }
}

it('takes every assignment for a new one, also without a word before it', async () => {
  const { starting, driver, deliver, texts, asked } = await open()
  await using _consumer = await starting
  await driver().onAssigned([at])
  await deliver(0n)
  await driver().onAssigned([at])
  await deliver(0n, 1n)
  await setImmediate()
  expect([texts, asked]).toEqual([['r0', 'r1'], ['commit 2']])
})

it('gives up what it buffered of a partition that an assignment took away without a word before it', async () => {
  const { clock, starting, driver, deliver, texts, asked } = await open()
  await using _consumer = await starting
  await driver().onAssigned([at])
  await deliver(0n)
  await driver().onAssigned([{ topic: 't', partition: 1 }])
  await clock.advance(1_000)
  expect([texts, asked]).toEqual([[], []])
})

it('drops what it buffered and reads on where the sink says, outside of a batch', async () => {
  const { clock, starting, driver, deliver, texts, asked } = await open()
  await using consumer = await starting
  await driver().onAssigned([at])
  await deliver(5n)
  consumer.rewind([
    { ...at, offset: 2n },
    { topic: 't', partition: 7, offset: 0n }
  ])
  await clock.advance(1_000)
  await deliver(2n, 3n)
  await setImmediate()
  expect([texts, asked]).toEqual([
    ['r2', 'r3'],
    ['seek 2', 'commit 4']
  ])
})

it('leaves a partition to its batch that is on its way', async () => {
  const { starting, driver, deliver, asked } = await open()
  await using consumer = await starting
  await driver().onAssigned([at])
  const delivered = deliver(0n, 1n)
  consumer.rewind([{ ...at, offset: 0n }])
  await delivered
  await setImmediate()
  expect(asked).toEqual(['commit 2'])
})

it('ignores records of a partition it does not hold', async () => {
  const { starting, driver, deliver, texts } = await open()
  await using _consumer = await starting
  await deliver(0n, 1n)
  await driver().onAssigned([])
  await deliver(0n, 1n)
  await setImmediate()
  expect(texts).toEqual([])
})

it('waits for a cluster that does not answer when it joins', async () => {
  const down = () => Promise.reject(new AppError('PIPE_KAFKA_UNAVAILABLE', 'no answer'))
  const { clock, starting, driver } = await open({ joins: [down, down] })
  await clock.advance(2_000)
  await using consumer = await starting
  await driver().onAssigned([at])
  expect(consumer.ready()).toBe(true)
})

it('throws what joining throws for good', async () => {
  const { starting } = await open({ joins: [() => Promise.reject(new AppError('PIPE_CONFIG_INVALID', 'wrong'))] })
  await expect(starting).rejects.toThrow('wrong')
})

it('leaves a group it joined while it was told to stop', async () => {
  const controller = new AbortController()
  const gate = Promise.withResolvers<void>()
  const { starting, asked } = await open({ joins: [() => gate.promise], signal: controller.signal })
  controller.abort()
  gate.resolve()
  const consumer = await starting
  expect(asked).toEqual(['stop'])
  await expect(consumer.done).resolves.toBeUndefined()
})

it('leaves the group at once when it failed, and does not hold up a rebalance then', async () => {
  const { starting, driver, deliver, asked } = await open({
    handle: () => {
      throw new TypeError('a bug')
    }
  })
  const consumer = await starting
  await driver().onAssigned([at])
  await deliver(0n, 1n)
  await expect(consumer.done).rejects.toThrow('a bug')
  await setImmediate()
  expect(asked).toEqual(['stop'])
  await driver().onRevoking()
  await driver().onAssigned([at])
  await deliver(0n, 1n)
  await consumer[Symbol.asyncDispose]()
  expect(asked).toEqual(['stop'])
})

it('stops the intake at its budget, the items that were made on arrival counted, and goes on when they are gone', async () => {
  const gate = Promise.withResolvers<void>()
  const itemBytes = (): number => 10_000
  const settings = { totalBytes: 30_000, decodeOnArrival: true }
  const { clock, starting, driver, deliver, texts, asked } = await open({
    policy: { ...policy, maxRows: 10 },
    itemBytes,
    settings: { ...settings, laneRows: 100 },
    handle: () => gate.promise
  })
  await using _consumer = await starting
  await driver().onAssigned([at])
  await deliver(0n, 1n)
  expect(asked).toEqual([])
  await deliver(2n)
  await setImmediate()
  expect(asked).toEqual(['pause 1'])
  gate.resolve()
  await clock.advance(1_000)
  await setImmediate()
  expect(texts).toEqual(['r0', 'r1', 'r2'])
  expect(asked).toEqual(['pause 1', 'commit 3', 'resume 1'])
})
