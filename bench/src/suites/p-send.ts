// P-send: what sending a record costs, with our encoding of record batches against the client's own, by records a call,
// codec and partitions. Ratios above 1 are in favour of ours.
import { kafkaFields, load } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { openBenchStack } from '../bench-stack.ts'
import { loopVariant, startLoopChild } from '../loop-child.ts'
import type { SendTask } from '../references/send-loop.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

/** 0.45x and 0.6x of the cost, as events per CPU second. */
const worthIt = { goal: 2.2, floor: 1.65 }
const told = { goal: 1, floor: 0.9 }

type Case = Omit<SendTask, 'topic'> & { readonly goal: number; readonly floor: number }

const cases: readonly Case[] = [
  { count: 1, partitions: 12, compression: 'none', ...told },
  { count: 10, partitions: 12, compression: 'none', ...told },
  { count: 100, partitions: 12, compression: 'none', ...worthIt },
  { count: 1_000, partitions: 12, compression: 'none', ...worthIt },
  { count: 1_000, partitions: 1, compression: 'none', ...worthIt },
  { count: 100, partitions: 12, compression: 'zstd', ...told },
  { count: 1_000, partitions: 12, compression: 'zstd', ...worthIt },
  { count: 1_000, partitions: 1, compression: 'zstd', ...worthIt },
  { count: 1_000, partitions: 12, compression: 'gzip', ...told }
]

const nameOf = ({ count, partitions, compression }: Case): string => `${count} x${partitions} ${compression}`

export const pSend: Suite = {
  name: 'p-send',
  about: 'our encoding of record batches against that of the client: records a call x partitions, codec',
  comparisons: cases.map((one) => ({
    variant: `ours ${nameOf(one)}`,
    reference: `stock ${nameOf(one)}`,
    goal: one.goal,
    floor: one.floor
  })),
  open
}

async function open(_settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  await using kafka = await openKafka(load(kafkaFields, stack.endpoints), { log: createSilentLogger() })
  const admin = await kafka.admin()
  const topicOf = (partitions: number): string => `bench.send-${partitions}`
  await admin.createTopics(
    [1, 12].map((partitions) => ({
      topic: topicOf(partitions),
      partitions,
      replicationFactor: 1,
      config: { 'retention.bytes': String(64 * 1024 ** 2), 'segment.bytes': String(16 * 1024 ** 2) }
    }))
  )
  const { KAFKA_BROKERS } = stack.endpoints
  const start = (fast: boolean) =>
    startLoopChild<SendTask>('references/send-loop.ts', { KAFKA_BROKERS, KAFKA_FAST_ENCODING: String(fast) })
  const ours = opening.use(await start(true))
  const stock = opening.use(await start(false))
  const opened = opening.move()
  return {
    variants: cases.flatMap((one) => {
      const { count, partitions, compression } = one
      const task = { topic: topicOf(partitions), count, partitions, compression }
      return [loopVariant(`ours ${nameOf(one)}`, ours, task), loopVariant(`stock ${nameOf(one)}`, stock, task)]
    }),
    otherPids: () => [...stack.pids(), ours.pid, stock.pid],
    versions: stack.versions,
    settings: { acks: 'all', eventBytes: 300, inFlight: 1 },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}
