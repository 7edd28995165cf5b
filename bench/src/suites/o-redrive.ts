// O-redrive: how long ten thousand dead letters of the loaders take until they are in the warehouse, by the procedure of the
// command, at its own rate and as fast as it goes; and that a repeat sends none of them.
import { toLetter } from '@millrace/consumer'
import { kafkaFields, load } from '@millrace/config'
import { createEnrich, dlqTopic, rawTopic } from '@millrace/contracts'
import { openKafka } from '@millrace/kafka'
import type { ProduceRecord } from '@millrace/kafka'
import { AppError, systemClock } from '@millrace/kernel'
import { startServices } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { schemasFolder } from '@millrace/operations/migrate'
import { redriveLetters } from '@millrace/operations/redrive-letters'
import type { RedriveDeps, RedriveRequest } from '@millrace/operations/redrive-letters'
import { createRedriveLock } from '@millrace/operations/redrive-lock'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { openPostgres } from '@millrace/stores/postgres'
import { openBenchStack } from '../bench-stack.ts'
import { createRawRecords } from '../gen/raw-records.ts'
import type { Finding } from '../result.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const letters = 10_000
const partitions = 4
const project = 'bench'
/** Letters a second: what `dlq redrive` does unless it is told otherwise, and more than there are. */
const rates = { usual: 1_000, unbounded: 1_000_000 }

export const oRedrive: Suite = {
  name: 'o-redrive',
  about: `${letters} dead letters of the loaders redriven`,
  comparisons: [],
  open
}

async function open({ seed }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, folder, pepper } = stack
  const silent = createSilentLogger()
  const { CLICKHOUSE_URL: url, DATABASE_URL, DATABASE_DIRECT_URL } = endpoints
  await migrateClickhouse({ url, folder: new URL('clickhouse/', schemasFolder), log: silent })
  const clickhouse = opening.use(await openClickhouse({ url, log: silent, applicationName: 'bench' }))
  const kafka = opening.use(await openKafka(load(kafkaFields, endpoints), { log: silent }))
  const running = opening.use(
    await startServices({ endpoints, pepper, folder, only: ['loader'], ports: 'ephemeral', restart: false })
  )
  const deps: RedriveDeps = {
    admin: opening.use(await kafka.admin()),
    producer: opening.use(await kafka.producer()),
    client: kafka.consumers,
    postgres: opening.use(await openPostgres({ url: DATABASE_URL, poolSize: 2, log: silent, name: 'bench' })),
    lock: createRedriveLock(DATABASE_DIRECT_URL),
    enrich: createEnrich(),
    clock: systemClock,
    actor: 'bench',
    countingGroups: ['aggregate'],
    loadingGroups: ['load'],
    recordingGroups: ['record']
  }
  const next = createRawRecords(seed, 'redrive', partitions, Date.now())
  const opened = opening.move()
  return {
    variants: [],
    otherPids: () => [...stack.pids(), ...running.all.flatMap(({ pid }) => pid ?? [])],
    versions: stack.versions,
    settings: { letters, partitions, ...rates },
    async findings() {
      const usual = await measure(deps, next, 0, rates.usual)
      const again = await redrive(deps, rates.usual)
      const unbounded = await measure(deps, next, letters, rates.unbounded)
      return [
        { name: `${letters} letters at ${rates.usual} a second`, value: usual, unit: 's', goal: 30, ceiling: 60 },
        { name: 'the same as fast as it goes', value: unbounded, unit: 's' },
        { name: 'letters that a repeat takes', value: again.matched, unit: 'letters', goal: 0, ceiling: 0 },
        await notOnce(clickhouse)
      ]
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** Writes letters of records from offset `from` on and redrives them. Resolves with seconds; throws unless all land. */
async function measure(
  deps: RedriveDeps,
  next: (count: number) => readonly ProduceRecord[],
  from: number,
  perSecond: number
): Promise<number> {
  const count = await deps.producer.partitionCount(dlqTopic(project))
  const made = next(letters).map((record, index) => {
    const letter = letterOf(record, from + index)
    return { ...letter, partition: letter.partition % count }
  })
  const outcomes = await deps.producer.produce(dlqTopic(project), made)
  if (outcomes.some(({ kind }) => kind !== 'acked')) throw new Error('a letter was not stored')
  const startedAtMs = performance.now()
  const { outcomes: fates } = await redrive(deps, perSecond)
  const seconds = (performance.now() - startedAtMs) / 1_000
  if (fates.landed !== letters) throw new Error(`not all letters landed: ${JSON.stringify(fates)}`)
  return seconds
}

function redrive(deps: RedriveDeps, perSecond: number): ReturnType<typeof redriveLetters> {
  const limits = { limit: letters, perSecond, onFailure: 'reinsert', waitMs: 60_000 } as const
  const request: RedriveRequest = { projectId: project, where: [], ...limits }
  return redriveLetters(deps, request)
}

/** The letter that a loader writes about a record that the warehouse refuses. */
function letterOf({ partition, key, value }: ProduceRecord, offset: number): ProduceRecord {
  const place = { topic: rawTopic(project), partition, offset: BigInt(offset), appendedAtMs: Date.now() }
  const record = { ...place, key: key === null ? null : Buffer.from(key), value, headers: {} }
  const cause = new AppError('PIPE_CLICKHOUSE_REFUSED', 'a row was refused')
  const why = { group: 'load', stage: 'handle', reason: 'constraint', cause, attempts: 4, appVersion: '1' } as const
  const { origin: _origin, ...letter } = toLetter(record, { ...why, failedAtMs: Date.now() }, false)
  return letter
}

/** Events that are not in the warehouse exactly once. */
async function notOnce(clickhouse: Clickhouse): Promise<Finding> {
  const [row] = await clickhouse.rows<{ events: string; rows: string }>(
    `SELECT uniqExact(eventId) AS events, count() AS rows FROM events WHERE projectId = {project:String}`,
    { project }
  )
  const [events, rows] = [Number(row?.events ?? 0), Number(row?.rows ?? 0)]
  const value = Math.abs(2 * letters - events) + rows - events
  return { name: 'events that are not there once', value, unit: 'events', goal: 0, ceiling: 0 }
}
