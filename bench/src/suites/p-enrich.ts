// P-enrich: what the processor costs, against a consumer that copies the same records without looking at them.
import { rawTopic, processedTopic } from '@millrace/contracts'
import { kafkaFields, load } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { startServices } from '@millrace/local-stack/supervisor'
import { backlogVariant, lengthOf } from '../backlog.ts'
import { openBenchStack } from '../bench-stack.ts'
import { startChildServer } from '../child.ts'
import { createRawRecords } from '../gen/raw-records.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const partitions = 4
const copied = { from: 'bench.copy-from', to: 'bench.copy-to' }
/** More than either takes in a second. */
const perSecond = { processor: 15_000, copy: 30_000 }

export const pEnrich: Suite = {
  name: 'p-enrich',
  about: 'the processor against a kafkajs consumer that copies the same records',
  comparisons: [{ variant: 'processor', reference: 'copy', goal: 0.5, floor: 0.3 }],
  open
}

async function open({ seed }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, folder, pepper } = stack
  const kafka = opening.use(await openKafka(load(kafkaFields, endpoints), { log: createSilentLogger() }))
  const [admin, producer] = [opening.use(await kafka.admin()), opening.use(await kafka.producer())]
  const config = { 'message.timestamp.type': 'LogAppendTime' }
  await admin.createTopics(Object.values(copied).map((topic) => ({ topic, partitions, replicationFactor: 1, config })))
  const running = opening.use(
    await startServices({ endpoints, pepper, folder, only: ['processor'], ports: 'ephemeral', restart: false })
  )
  const service = running.service('processor')
  const { KAFKA_BROKERS } = endpoints
  const env = { KAFKA_BROKERS, FROM: copied.from, TO: copied.to }
  const copy = opening.use(await startChildServer('references/copy-consumer.ts', env))
  const made = createRawRecords(seed, 'enrich', partitions)(20_000)
  let at = 0
  const records = (count: number) => Array.from({ length: count }, () => made[at++ % made.length]!)
  const opened = opening.move()
  return {
    variants: [
      backlogVariant({
        name: 'processor',
        pids: () => (service.pid === undefined ? [] : [service.pid]),
        producer,
        topic: rawTopic('bench'),
        records,
        perSecond: perSecond.processor,
        done: lengthOf(admin, processedTopic('bench'))
      }),
      backlogVariant({
        name: 'copy',
        pids: () => [copy.pid],
        producer,
        topic: copied.from,
        records,
        perSecond: perSecond.copy,
        done: lengthOf(admin, copied.to)
      })
    ],
    otherPids: () => stack.pids(),
    versions: stack.versions,
    settings: { partitions, bytesPerEvent: Math.round(meanBytes(made)), codec: 'zstd' },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

function meanBytes(records: readonly { readonly value: Buffer | null }[]): number {
  return records.reduce((sum, { value }) => sum + (value?.byteLength ?? 0), 0) / records.length
}
