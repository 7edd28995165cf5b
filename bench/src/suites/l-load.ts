// L-load: from the log into the warehouse by the loader, enrichment and side tables included, against inserting finished
// rows of the same events into one table: rows by CPU and on the clock. The engine's CPU counts for both.
import { rawTopic } from '@millrace/contracts'
import { kafkaFields, load } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { startServices } from '@millrace/local-stack/supervisor'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { schemasFolder } from '@millrace/operations/migrate'
import { backlogVariant, committedOf } from '../backlog.ts'
import { openBenchStack } from '../bench-stack.ts'
import { createRawRecords } from '../gen/raw-records.ts'
import { loopVariant, startLoopChild } from '../loop-child.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const partitions = 4

export const lLoad: Suite = {
  name: 'l-load',
  about: 'the loader and ClickHouse against an insert of finished rows',
  comparisons: [
    { variant: 'loader', reference: 'insert', by: 'speed', goal: 0.7, floor: 0.5 },
    { variant: 'loader', reference: 'insert', goal: 0.45, floor: 0.3 }
  ],
  open
}

async function open({ seed }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, folder, pepper } = stack
  const { CLICKHOUSE_URL: url } = endpoints
  await migrateClickhouse({ url, folder: new URL('clickhouse/', schemasFolder), log: createSilentLogger() })
  const kafka = opening.use(await openKafka(load(kafkaFields, endpoints), { log: createSilentLogger() }))
  const [admin, producer] = [opening.use(await kafka.admin()), opening.use(await kafka.producer())]
  const running = opening.use(
    await startServices({ endpoints, pepper, folder, only: ['loader'], ports: 'ephemeral', restart: false })
  )
  const service = running.service('loader')
  const child = opening.use(await startLoopChild('references/insert-loop.ts', { CLICKHOUSE_URL: url }))
  const topic = rawTopic('bench')
  const next = createRawRecords(seed, 'load', partitions, Date.now())
  const engine = stack.pidOf('clickhouse')
  const pids = (): readonly number[] => (service.pid === undefined ? [engine] : [service.pid, engine])
  const opened = opening.move()
  return {
    variants: [
      backlogVariant({
        name: 'loader',
        pids,
        producer,
        topic,
        records: next,
        perSecond: 60_000,
        done: committedOf(admin, 'load', topic),
        // What is on the clock is the loading, not the writing of the log.
        hold: { stop: () => service.kill('SIGSTOP'), go: () => service.kill('SIGCONT') }
      }),
      loopVariant('insert', child, {}, [child.pid, engine])
    ],
    otherPids: () => [...stack.pids(), child.pid],
    versions: stack.versions,
    settings: { partitions, rowsPerInsert: 10_000 },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}
