// W-fan: what a message of 20 values to many WebSockets costs: the whole live feed, from records of Kafka to the clients.
// The reference that counts does the same work as plainly as one can: kafkajs reads the values, a message is made text
// once, and a loop calls `send` of the ws library. Two more have the message in their hands already and show where the
// cost is: one makes it text for each client; the other sends one text and is little else than a system call for each
// client, which nothing in Node goes below by much.
import { setTimeout } from 'node:timers/promises'
import wsPackage from 'ws/package.json' with { type: 'json' }
import { kafkaFields, load } from '@millrace/config'
import { encodeMetric, metricsTopic, topicSettings } from '@millrace/contracts'
import type { MetricMessage } from '@millrace/contracts'
import { openKafka } from '@millrace/kafka'
import type { Admin, Producer } from '@millrace/kafka'
import { startServices } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { loadTopicDeclaration } from '@millrace/operations/topics'
import { openBenchStack } from '../bench-stack.ts'
import { startChildServer } from '../child.ts'
import type { Variant } from '../harness.ts'
import { startLoopChild } from '../loop-child.ts'
import type { LoopChild } from '../loop-child.ts'
import type { ClientsTask } from '../references/fan-out-clients.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

/** Clients, the metric that stands for them, the one that the reference reads, and rounds a second. */
const sizes = [
  { clients: 100, words: '100', metric: 'page_views', read: 'sessions', rate: 40 },
  { clients: 1_000, words: '1,000', metric: 'events', read: 'conversions', rate: 20 }
] as const

export const wFan: Suite = {
  name: 'w-fan',
  about: 'the live feed, from Kafka to 100 and 1,000 clients, against kafkajs and a loop of send over ws',
  // 1.33 of its messages per CPU second are 0.75 of the reference's CPU.
  comparisons: sizes.flatMap(({ words }) => {
    const [goal, floor] = [1.33, words === '100' ? 0.4 : 1]
    return ['kafkajs and ws', 'ws text each', 'ws text once'].map((reference) => {
      return { variant: `live, ${words}`, reference: `${reference}, ${words}`, goal, floor }
    })
  }),
  open
}

async function open(_settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, pepper, folder } = stack
  const kafka = opening.use(
    await openKafka(load(kafkaFields, endpoints), { log: createSilentLogger(), clientId: 'bench' })
  )
  await createMetricTopics(await kafka.admin())
  const producer = await kafka.producer({ compression: 'none' })
  const env = { DEMO_PROJECT: 'bench', TICK_MS: '10', PING_MS: '2m', SNAPSHOT_REFRESH_MS: '5m' }
  const running = opening.use(
    await startServices({ endpoints, pepper, folder, only: ['realtime'], ports: 'ephemeral', restart: false, env })
  )
  const service = running.service('realtime')
  const feeds = sizes.map(({ clients: count, read }) => `feed-${count}=${metricsTopic(read)}`).join(',')
  const { KAFKA_BROKERS } = endpoints
  const reference = opening.use(await startChildServer('references/fan-out-ws.ts', { KAFKA_BROKERS, FEEDS: feeds }))
  const clients = opening.use(await startLoopChild<ClientsTask>('references/fan-out-clients.ts', {}))
  const variants: Variant[] = []
  for (const { clients: count, words, metric, read, rate } of sizes) {
    const say = JSON.stringify({ type: 'subscribe', id: 'm', to: 'metrics', metric, dimension: '*' })
    log(`connecting ${words} clients to each`)
    const live = { connect: `live ${count}`, clients: count, port: service.port, path: '/realtime?ticket=', say }
    await clients.run({ ...live, ticketPath: '/demo/ticket' }, 1)
    const port = Number(new URL(reference.url).port)
    await clients.run({ connect: `ws ${count}`, clients: count, port, path: `/${count}` }, 1)
    await clients.run({ connect: `feed ${count}`, clients: count, port, path: `/feed-${count}` }, 1)
    const round = (how: 'each' | 'once') => (value: number) =>
      fetch(`${reference.url}/round/${count}/${value}/${how}`).then((answer) => answer.arrayBuffer())
    const own = { clients, rate }
    variants.push(
      fanVariant(`live, ${words}`, () => service.pid, {
        ...own,
        set: `live ${count}`,
        send: createTeller(producer, metric)
      }),
      fanVariant(`kafkajs and ws, ${words}`, () => reference.pid, {
        ...own,
        set: `feed ${count}`,
        send: createTeller(producer, read)
      }),
      fanVariant(`ws text each, ${words}`, () => reference.pid, { ...own, set: `ws ${count}`, send: round('each') }),
      fanVariant(`ws text once, ${words}`, () => reference.pid, { ...own, set: `ws ${count}`, send: round('once') })
    )
  }
  const opened = opening.move()
  return {
    variants,
    otherPids: () => [...stack.pids(), clients.pid],
    versions: { ws: wsPackage.version, ...stack.versions },
    settings: Object.fromEntries(sizes.map(({ clients: count, rate }) => [`rounds a second, ${count} clients`, rate])),
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

async function createMetricTopics(admin: Pick<Admin, 'createTopics'>): Promise<void> {
  const declaration = await loadTopicDeclaration()
  await admin.createTopics(
    sizes
      .flatMap(({ metric, read }) => [metric, read])
      .map((metric) => ({ topic: metricsTopic(metric), ...topicSettings(declaration, 'local', 'metrics') }))
  )
}

interface Rounds {
  readonly clients: LoopChild<ClientsTask>
  readonly set: string
  /** A second. */
  readonly rate: number
  readonly send: (value: number) => Promise<unknown>
}

/** A server whose clients are counted while rounds are sent to them. */
function fanVariant(name: string, pid: () => number | undefined, { clients, set, rate, send }: Rounds): Variant {
  let sent = 0
  return {
    name,
    pids: () => [pid() ?? []].flat(),
    async drive(ms) {
      const counting = clients.run({ count: set }, ms + settleMs)
      const rounds = Math.floor((ms * rate) / 1_000)
      const startedAt = performance.now()
      for (let round = 0; round < rounds; round++) {
        await send(++sent)
        await setTimeout(Math.max(0, startedAt + ((round + 1) * 1_000) / rate - performance.now()))
      }
      return await counting
    }
  }
}

/** The last round reaches the last client within this time. */
const settleMs = 200

/** Sends the values of one round in one request, as the aggregator does. */
function createTeller(producer: Producer, metric: string): Rounds['send'] {
  return async (value) => {
    const records = Array.from({ length: valuesPerMessage }, (_, index) => ({
      partition: 0,
      ...encodeMetric(messageOf(metric, `["type_${index}"]`, value))
    }))
    const outcomes = await producer.produce(metricsTopic(metric), records)
    if (outcomes.some(({ kind }) => kind !== 'acked')) throw new Error('a value was not stored')
  }
}

/** As references/fan-out-ws.ts has it. */
const valuesPerMessage = 20

function messageOf(metric: string, dimension: string, value: number): MetricMessage {
  const now = Date.now()
  return {
    project: 'bench',
    metric,
    kind: 'count',
    granularity: '1m',
    timestamp: now - (now % 60_000),
    dimension,
    value,
    count: value,
    capped: false,
    revision: [1, 2 * value],
    final: false
  }
}
