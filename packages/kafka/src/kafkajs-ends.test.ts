// The library's own broker pool, over brokers that only say whether they are connected, and its own runner of a consumer.
import { createRequire } from 'node:module'
import { expect, test, vi } from 'vitest'
import { installEnds } from './kafkajs-ends.ts'

const require = createRequire(import.meta.url)

/** A broker whose connection is made when `answer` is called. */
function makeBroker() {
  const answers: (() => void)[] = []
  let connected = false
  return {
    isConnected: () => connected,
    connect: () =>
      new Promise<void>((resolve) =>
        answers.push(() => {
          connected = true
          resolve()
        })
      ),
    async disconnect() {
      connected = false
    },
    answer: () => answers.shift()?.()
  }
}

type FakeBroker = ReturnType<typeof makeBroker>
interface Pool {
  seedBroker: unknown
  brokers: Readonly<Record<string, unknown>>
  connect(): Promise<void>
  findBroker(which: { readonly nodeId: string }): Promise<unknown>
  disconnect(): Promise<void>
}

function makePool(seed: FakeBroker, other: FakeBroker): Pool {
  installEnds()
  const BrokerPool = require('kafkajs/src/cluster/brokerPool.js') as new (options: object) => Pool
  const logger = { namespace: () => logger, error: () => {} }
  const pool = new BrokerPool({ connectionPoolBuilder: {}, logger, retry: { retries: 0 } })
  return Object.assign(pool, { seedBroker: seed, brokers: { 2: other } })
}

test('a client connects its brokers until it is disconnected', async () => {
  const [seed, other] = [makeBroker(), makeBroker()]
  const pool = makePool(seed, other)
  const connecting = pool.connect()
  await Promise.resolve()
  seed.answer()
  await connecting
  const found = pool.findBroker({ nodeId: '2' })
  await new Promise(setImmediate)
  other.answer()
  await found
  expect([seed.isConnected(), other.isConnected()]).toEqual([true, true])
  await pool.disconnect()
  expect([seed.isConnected(), other.isConnected()]).toEqual([false, false])
  await expect(pool.connect()).rejects.toThrow('the client was disconnected')
})

test('a connection that was under way when the client was disconnected is closed behind it', async () => {
  const [seed, other] = [makeBroker(), makeBroker()]
  const pool = makePool(seed, other)
  const found = pool.findBroker({ nodeId: '2' })
  const connecting = pool.connect()
  await new Promise(setImmediate)
  await pool.disconnect()
  other.answer()
  seed.answer()
  await expect(found).rejects.toThrow('the client was disconnected')
  await expect(connecting).rejects.toThrow('the client was disconnected')
  expect([seed.isConnected(), other.isConnected()]).toEqual([false, false])
})

interface Runner {
  start(): Promise<void>
  stop(): Promise<void>
}

/** A runner whose group has these brokers; `fetches` are those that are not answered, by broker. */
function makeRunner(nodes: { now: readonly string[] }) {
  installEnds()
  const Runner = require('kafkajs/src/consumer/runner.js') as new (options: object) => Runner
  const logger = { namespace: () => logger, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  const fetches = new Map<string, () => void>()
  let left = false
  const nothing = async (): Promise<void> => {}
  const consumerGroup = {
    connect: nothing,
    joinAndSync: nothing,
    heartbeat: nothing,
    async leave() {
      left = true
    },
    getNodeIds: () => nodes.now,
    fetch: (node: string) => new Promise<unknown[]>((resolve) => fetches.set(node, () => resolve([])))
  }
  const instrumentationEmitter = { emit: () => {} }
  const runner = new Runner({ logger, consumerGroup, instrumentationEmitter, heartbeatInterval: 1, onCrash: () => {} })
  return { runner, fetches, left: () => left }
}

test('a consumer that is stopped while a broker goes leaves its group', async () => {
  const nodes = { now: ['1', '2'] }
  const { runner, fetches, left } = makeRunner(nodes)
  await runner.start()
  await vi.waitFor(() => expect(fetches.size).toBe(2))
  nodes.now = ['1']
  // The first one finds that a broker is gone; the library waits for the second one, and then begins anew.
  fetches.get('1')?.()
  await new Promise(setImmediate)
  const stopped = runner.stop()
  fetches.get('2')?.()
  await stopped
  expect(left()).toBe(true)
})
