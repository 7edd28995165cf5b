// What the cases of dead letters share: workers of their own on one project, a log that is written past the gateway, so
// that it may hold anything, and rows that PostgreSQL refuses when it is told to.
import { dlqTopic, rawTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import type { ProduceRecord } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import type { RunningService } from '@millrace/local-stack/supervisor'
import type { ServiceName } from '@millrace/local-stack/services'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { eventually } from '../../eventually.ts'
import { openPipeline } from '../../pipeline.ts'
import type { Pipeline, TestProject } from '../../pipeline.ts'
import { lagOf } from '../check-project.ts'
import type { CaseContext } from '../fault-case.ts'
import { broken, judge } from '../oracle.ts'
import type { Verdict, Violation } from '../oracle.ts'
import { scanTopic } from '../scan-topic.ts'
import { makeEvent, toRecord } from '../warehouse/world.ts'
import type { MadeEvent } from '../warehouse/world.ts'

/** A copy of a letter, as its headers tell it. */
export interface WrittenLetter {
  readonly id: string
  readonly group: string
  readonly reason: string
  readonly attempts: number
  /** `partition:offset` of the record that failed. */
  readonly origin: string
}

export interface OperationsRig extends AsyncDisposable {
  readonly pipeline: Pipeline
  readonly project: TestProject
  readonly topic: string
  readonly postgres: Postgres
  service(name: ServiceName): RunningService
  /** Appends `count` new events, each changed by `change`; on one partition when it is named. */
  write(count: number, options?: WriteOptions): Promise<readonly MadeEvent[]>
  /** Appends records as they are. */
  append(records: readonly ProduceRecord[]): Promise<void>
  /** PostgreSQL refuses events of these types; none: it takes everything. */
  refuse(eventTypes: readonly string[]): Promise<void>
  /** How often each event is in `raw_events`. */
  recorded(): Promise<ReadonlyMap<string, number>>
  /** Every copy of every letter, in the order of the topic. */
  letters(): Promise<readonly WrittenLetter[]>
  /** Resolves when `groups` have committed everything of the raw topic. */
  caughtUp(groups: readonly string[], timeoutMs?: number): Promise<void>
  verdict(violations: readonly Violation[], letters: readonly WrittenLetter[]): Verdict
}

export interface WriteOptions {
  readonly partition?: number
  readonly change?: (event: MadeEvent) => MadeEvent
}

export interface RigOptions {
  readonly only: readonly ServiceName[]
  readonly env?: Readonly<Record<string, string>>
  readonly startEnv?: (name: ServiceName, start: number) => Readonly<Record<string, string>>
}

const partitions = 4

/** Starts the services and makes a project; everything ends when it is disposed. */
export async function openOperationsRig(context: CaseContext, options: RigOptions): Promise<OperationsRig> {
  const { endpoints } = context.stack
  const { folder, planted, say } = context
  await using opening = new AsyncDisposableStack()
  const pipeline = opening.use(await openPipeline({ endpoints, folder, planted, say, ...options }))
  const postgres = opening.use(
    await openPostgres({ url: endpoints.DATABASE_URL, poolSize: 2, log: createSilentLogger(), name: 'test' })
  )
  const producer = opening.use(await pipeline.kafka.producer())
  const project = await pipeline.createProject('letters')
  const topic = rawTopic(project.projectId)
  const scan = { admin: pipeline.admin, client: pipeline.kafka.consumers, clock: systemClock }
  let next = 0
  let logged = 0
  const append = async (records: readonly ProduceRecord[]): Promise<void> => {
    for (let from = 0; from < records.length; from += 1_000) {
      const outcomes = await producer.produce(topic, records.slice(from, from + 1_000))
      const bad = outcomes.find(({ kind }) => kind !== 'acked')
      if (bad !== undefined) throw new Error(`the log was not written: ${JSON.stringify(bad)}`)
      logged += outcomes.length
    }
  }
  const opened = opening.move()
  return {
    pipeline,
    project,
    topic,
    postgres,
    append,
    service: (name) => pipeline.services.service(name),
    async write(count, { partition, change = (event: MadeEvent) => event } = {}) {
      const made = Array.from({ length: count }, () => change(recentEvent(next++)))
      const records = made.map((event) => toRecord(event, partitions))
      await append(partition === undefined ? records : records.map((record) => ({ ...record, partition })))
      return made
    },
    refuse: (types) => refuseTypes(postgres, types),
    recorded: () => recordedIds(postgres, project.projectId),
    async letters() {
      const records = await scanTopic(scan, dlqTopic(project.projectId))
      return records.map(({ headers }) => {
        const text = (name: string): string => String(headers[`dlq.${name}`] ?? '')
        const origin = `${text('partition')}:${text('offset')}`
        return {
          id: text('id'),
          group: text('group'),
          reason: text('error-class'),
          attempts: Number(text('attempts')),
          origin
        }
      })
    },
    async caughtUp(groups, timeoutMs = 120_000) {
      for (const group of groups) {
        const isThere = async (): Promise<boolean> => (await lagOf(pipeline.admin, group, topic).catch(() => 1n)) === 0n
        await eventually(`${group} at the end of ${topic}`, isThere, { timeoutMs, intervalMs: 200 })
      }
    },
    verdict(violations, letters) {
      const { figures } = judge({ ledger: [], log: [], letters: [], sinks: [] })
      const ids = new Set(letters.map(({ id }) => id)).size
      return { violations, figures: { ...figures, acked: logged, logged, letters: ids } }
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** How often each event of a project is in `raw_events`. */
export async function recordedIds(
  postgres: Pick<Postgres, 'query'>,
  projectId: string
): Promise<ReadonlyMap<string, number>> {
  const rows = await postgres.query<{ event_id: string; times: number }>(
    'SELECT event_id, count(*)::integer AS times FROM raw_events WHERE project_id = $1 GROUP BY event_id',
    [projectId]
  )
  return new Map(rows.map(({ event_id, times }) => [event_id, times]))
}

/** Switches the planted bug on in a process that is started past the pipeline, such as the tool. */
export function plantedEnv({ planted }: Pick<CaseContext, 'planted'>): Readonly<Record<string, string>> {
  return planted === undefined ? {} : { MILLRACE_TEST: '1', MILLRACE_PLANTED_BUG: planted }
}

/** An event of the last hour: older ones are past the retention of `raw_events`. */
export function recentEvent(n: number): MadeEvent {
  return { ...makeEvent(n), timestampMs: systemClock.now() - (n % 3_600) * 1_000 }
}

/** A trigger that refuses rows as a constraint would. */
async function refuseTypes(postgres: Postgres, types: readonly string[]): Promise<void> {
  const list = types.map((type) => `'${type}'`).join(', ')
  await postgres.query('DROP TRIGGER IF EXISTS refuse_types ON raw_events')
  if (types.length === 0) return
  await postgres.query(`CREATE OR REPLACE FUNCTION refuse_types() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.event_type IN (${list}) OR '*' IN (${list}) THEN
        RAISE EXCEPTION 'the row of % is refused', NEW.event_id USING ERRCODE = 'not_null_violation';
      END IF;
      RETURN NEW;
    END $$`)
  await postgres.query(
    'CREATE TRIGGER refuse_types BEFORE INSERT ON raw_events FOR EACH ROW EXECUTE FUNCTION refuse_types()'
  )
}

/** Events that are not where they must be, exactly once. */
export function compareIds(
  where: string,
  expected: Iterable<string>,
  found: ReadonlyMap<string, number>
): readonly Violation[] {
  const wanted = new Set(expected)
  return [
    ...broken(
      'INV-3',
      `not in ${where}`,
      [...wanted].filter((id) => !found.has(id))
    ),
    ...broken(
      'INV-3',
      `in ${where} and should not be`,
      [...found.keys()].filter((id) => !wanted.has(id))
    ),
    ...broken(
      'INV-3',
      `more than once in ${where}`,
      [...found].filter(([, times]) => times > 1).map(([id]) => id)
    )
  ]
}
