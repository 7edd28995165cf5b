// The stage of the chapters: a cluster in memory, a clock moved by hand, and a worker that records what it was given.
import { setImmediate } from 'node:timers/promises'
import { createManualClock, done } from '@millrace/kernel'
import type { ManualClock, Outcome } from '@millrace/kernel'
import { createMemoryCluster } from '@millrace/kafka'
import type { MemoryClient, MemoryCluster, TopicPartition } from '@millrace/kafka'
import { createRegistry, createSilentLogger } from '@millrace/observability'
import type { Registry } from '@millrace/observability'
import type { Batch, ConsumedRecord, Consumer, ConsumerDef, ConsumerDeps, HandleContext } from '../src/definition.ts'
import { fixedTopics, item, parseLetter, startConsumer } from '../src/index.ts'
import type { Letter, Rewind } from '../src/index.ts'

/** An item of the chapters: the text of the value and where it was stored. */
export interface Line {
  readonly text: string
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly redriven: boolean
}

/** One call of the worker. */
export interface Call {
  readonly texts: readonly string[]
  readonly batch: Batch<Line>
  readonly context: HandleContext
}

export type Answer = readonly Outcome[] | Rewind
export type Worker = (call: Call) => Answer | Promise<Answer>

export interface Member {
  readonly consumer: Consumer
  readonly client: MemoryClient
  /** Calls of the worker so far. */
  readonly calls: Call[]
  /** The texts of each call so far. */
  texts(): string[][]
}

export interface Stage {
  readonly clock: ManualClock
  readonly cluster: MemoryCluster
  readonly registry: Registry
  /** Starts one more process of the group `g` with this worker. */
  start(worker?: Worker, def?: Partial<ConsumerDef<Line>>, deps?: Partial<ConsumerDeps>): Promise<Member>
  /** Appends texts to a partition of `events.a`. */
  append(partition: number, ...texts: string[]): void
  /** Moves time and lets everything that follows happen. */
  advance(ms: number): Promise<void>
  committed(partition?: number, topic?: string): bigint | undefined
  letters(): readonly { readonly value: string | undefined; readonly letter: Letter }[]
  /** The value of a series, labels in the order of their names: `metric('x_total', { a: '1' })`. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>
}

/** Lets every promise that can settle settle. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await setImmediate()
}

/** All items had their effect. */
export const allDone: Worker = ({ batch }) => batch.items.map(() => done)

export function partition(index: number, topic = 'events.a'): TopicPartition {
  return { topic, partition: index }
}

/** A cluster with the topics `events.a` (`partitions`, default 1), `events.dlq.a` and `redrive.g`. */
export async function createStage(partitions = 1): Promise<Stage> {
  const clock = createManualClock()
  const cluster = createMemoryCluster({ clock })
  const registry = createRegistry()
  const plain = { replicationFactor: 1, config: {} }
  await cluster.admin.createTopics([
    { topic: 'events.a', partitions, ...plain },
    { topic: 'events.dlq.a', partitions: 2, ...plain },
    { topic: 'redrive.g', partitions: 1, ...plain }
  ])
  return {
    clock,
    cluster,
    registry,
    async start(worker = allDone, def = {}, deps = {}) {
      const calls: Call[] = []
      const client = cluster.client()
      const consumer = await startConsumer<Line>(
        {
          name: 'test',
          group: 'g',
          topics: fixedTopics(['events.a'], 'redrive.g'),
          policy: { maxRows: 3, maxBytes: 1_000_000, maxAgeMs: 100, scope: 'lane' },
          decode: toLine,
          handle: async (batch, context) => {
            const call = { batch, context, texts: batch.items.map(({ text }) => text) }
            calls.push(call)
            return await worker(call)
          },
          ...def,
          // Chapter 9 is about trying refused records again.
          settings: { recordRetryMs: 0, ...def.settings }
        },
        {
          client,
          letters: {
            producer: cluster.producer,
            topicFor: (topic) => topic.replace('events.', 'events.dlq.'),
            appVersion: '1.2.3'
          },
          log: createSilentLogger(),
          registry,
          clock,
          random: () => 0.5,
          ...deps
        }
      )
      await settle()
      return { consumer, client, calls, texts: () => calls.map(({ texts }) => [...texts]) }
    },
    append: (index, ...texts) => void cluster.append(partition(index), ...texts),
    async advance(ms) {
      await settle()
      for (let left = ms; left > 0; left -= 50) {
        await clock.advance(Math.min(50, left))
        await settle()
      }
    },
    committed: (index = 0, topic = 'events.a') => cluster.committed('g', partition(index, topic)),
    letters: () =>
      cluster.records('events.dlq.a').flatMap((record) => {
        const letter = parseLetter(record)
        return letter === undefined ? [] : [{ value: record.value?.toString(), letter }]
      }),
    async metric(name, labels = {}) {
      const found = await registry.getSingleMetric(name)?.get()
      const wanted = JSON.stringify(Object.entries(labels).sort())
      return found?.values.find((one) => JSON.stringify(Object.entries(one.labels).sort()) === wanted)?.value
    }
  }
}

/** Texts are items; `bad...` is dead, `skip...` is skipped, `throw...` brings out a bug of the decoder. */
function toLine(record: ConsumedRecord) {
  const text = record.value?.toString() ?? ''
  if (text.startsWith('bad'))
    return { kind: 'dead', reason: 'parse', cause: new Error(`not an event: ${text}`) } as const
  if (text.startsWith('skip')) return { kind: 'skip', reason: 'invalid' } as const
  if (text.startsWith('throw')) throw new TypeError('decoder bug')
  const { topic, partition, offset, redriven } = record
  return item<Line>({ text, topic, partition, offset, redriven })
}
