// Sends records through the producer of packages/kafka, one call after the other; KAFKA_FAST_ENCODING decides by which
// encoding. Records are made before the clock starts.
import { kafkaFields, load } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import type { ProduceRecord, Producer } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { createEvents } from '../gen/workloads.ts'
import { serveLoop } from '../loop-child.ts'

/** `count` records a call, over all partitions of `topic`. */
export interface SendTask {
  readonly topic: string
  readonly partitions: number
  readonly count: number
  readonly compression: 'none' | 'gzip' | 'zstd'
}

const kafka = await openKafka(load(kafkaFields, process.env), { log: createSilentLogger(), clientId: 'bench' })
const producers = new Map<SendTask['compression'], Promise<Producer>>()
const batches = new Map<string, readonly ProduceRecord[]>()
const next = createEvents(1, 'send')

process.on('SIGTERM', () => process.exit(0))
serveLoop<SendTask>(async ({ topic, partitions, count, compression }) => {
  let producer = producers.get(compression)
  if (producer === undefined) producers.set(compression, (producer = kafka.producer({ compression })))
  const name = `${count}/${partitions}`
  let records = batches.get(name)
  if (records === undefined)
    batches.set(name, (records = Array.from({ length: count }, (_, at) => toRecord(at % partitions))))
  const outcomes = await (await producer).produce(topic, records)
  const failed = outcomes.find(({ kind }) => kind !== 'acked')
  if (failed !== undefined) throw new Error(`a record was not stored: ${JSON.stringify(failed)}`)
  return count
})

function toRecord(partition: number): ProduceRecord {
  const value = next()
  return { partition, key: value.slice(12, 28), value: Buffer.from(value) }
}
