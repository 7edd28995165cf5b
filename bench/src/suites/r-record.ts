// R-record: what keeping an event in PostgreSQL costs by the recorder, against a COPY of finished rows into the same
// columns and indexes. The CPU of PostgreSQL counts for both: it is most of it.
import { rawTopic } from '@millrace/contracts'
import { kafkaFields, load } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { startServices } from '@millrace/local-stack/supervisor'
import { backlogVariant } from '../backlog.ts'
import { openBenchStack } from '../bench-stack.ts'
import { createRawRecords } from '../gen/raw-records.ts'
import { loopVariant, startLoopChild } from '../loop-child.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const partitions = 4

export const rRecord: Suite = {
  name: 'r-record',
  about: 'the recorder and PostgreSQL against a COPY of finished rows',
  comparisons: [{ variant: 'recorder', reference: 'COPY', goal: 0.6, floor: 0.4 }],
  open
}

async function open({ seed }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, folder, pepper } = stack
  const kafka = opening.use(await openKafka(load(kafkaFields, endpoints), { log: createSilentLogger() }))
  const [admin, producer] = [opening.use(await kafka.admin()), opening.use(await kafka.producer())]
  const running = opening.use(
    await startServices({ endpoints, pepper, folder, only: ['recorder'], ports: 'ephemeral', restart: false })
  )
  const service = running.service('recorder')
  const child = opening.use(await startLoopChild('references/copy-loop.ts', { DATABASE_URL: endpoints.DATABASE_URL }))
  const topic = rawTopic('bench')
  const records = createRawRecords(seed, 'record', partitions, Date.now())
  const committed = async (): Promise<number> => {
    const offsets = await admin.groupOffsets('record', topic)
    return [...offsets.values()].reduce((sum, offset) => sum + Math.max(0, Number(offset)), 0)
  }
  const postgres = stack.pidOf('postgres')
  const pids = (): readonly number[] => (service.pid === undefined ? [postgres] : [service.pid, postgres])
  const opened = opening.move()
  return {
    variants: [
      backlogVariant({ name: 'recorder', pids, producer, topic, records, perSecond: 6_000, done: committed }),
      loopVariant('COPY', child, {}, [child.pid, postgres])
    ],
    otherPids: () => stack.pids(),
    versions: stack.versions,
    settings: { partitions, rowsPerTransaction: 5_000 },
    findings: async () => [
      { name: 'recorder without PostgreSQL', value: await ownCost(service.url), unit: 'us/event' }
    ],
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** CPU microseconds per event of the process itself, of its last period with events. */
async function ownCost(url: string): Promise<number> {
  const series = await (await fetch(`${url}/metrics`)).text()
  return Number(/^analytics_cpu_us_per_event\{[^}]*\} (\S+)$/m.exec(series)?.[1] ?? Number.NaN)
}
