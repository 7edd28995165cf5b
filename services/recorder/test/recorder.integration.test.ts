import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dlqTopic, rawTopic } from '@millrace/contracts'
import type { Admin, Kafka, ProduceRecord, Producer } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { migrate } from '@millrace/operations/migrate'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { openTcpProxy } from '@millrace/testkit/faults/tcp-proxy'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { unique, uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics, startWorker } from '@millrace/testkit/worker'
import { createDays } from '../src/days.ts'
import { dayMs } from '../src/to-row.ts'

const stack = new AsyncDisposableStack()
const { CLICKHOUSE_URL, DATABASE_URL, DATABASE_DIRECT_URL } = testEndpoints()
const log = createSilentLogger()
let kafka: Kafka
let admin: Admin
let producer: Producer
let postgres: Postgres

beforeAll(async () => {
  await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log })
  kafka = stack.use(await openTestKafka())
  admin = stack.use(await kafka.admin())
  producer = stack.use(await kafka.producer())
  postgres = stack.use(await openPostgres({ url: DATABASE_URL, poolSize: 2, log, name: 'test' }))
})
afterAll(() => stack.disposeAsync())

const nowMs = Date.now()
const receivedAt = new Date(nowMs).toISOString()
const event = (id: string, change: object = {}): ProduceRecord => ({
  partition: Number(/\d+$/.exec(id)?.[0] ?? 0) % 4,
  key: id,
  value: Buffer.from(JSON.stringify({ eventId: id, eventType: 'view', receivedAt, ...change }))
})
const events = (count: number): ProduceRecord[] => Array.from({ length: count }, (_, index) => event(`e-${index}`))
const env = { FLUSH_AFTER_MS: '100' }
const shortSession = { SESSION_TIMEOUT_MS: '6s', HEARTBEAT_INTERVAL_MS: '500' }

async function produce(project: string, records: readonly ProduceRecord[]): Promise<void> {
  const outcomes = await producer.produce(rawTopic(project), records)
  expect(outcomes.filter(({ kind }) => kind !== 'acked')).toEqual([])
}

async function recorded(project: string): Promise<number> {
  const rows = await postgres.query<{ count: number }>(
    'SELECT count(*)::integer AS count FROM raw_events WHERE project_id = $1',
    [project]
  )
  return rows[0]?.count ?? 0
}

async function eventuallyRecorded(project: string, group: string, count: number): Promise<void> {
  const ends = new Map((await admin.ranges(rawTopic(project))).map(({ partition, end }) => [partition, end]))
  await eventually(
    `${group} committed the end of ${rawTopic(project)}`,
    async () => {
      const offsets = await admin.groupOffsets(group, rawTopic(project))
      return [...ends].every(([partition, end]) => end === 0n || offsets.get(partition) === end)
    },
    { timeoutMs: 40_000, intervalMs: 100 }
  )
  expect(await recorded(project)).toBe(count)
}

describe('recorder', () => {
  it('records every event once, in all its columns, the first of several copies', async () => {
    const project = uniqueProject('record')
    await createProjectTopics(admin, project)
    await using recorder = await startWorker({ service: 'recorder', project, env })
    const full = {
      userId: 'u "1"\n\\N',
      sessionId: 's-1',
      timestamp: new Date(nowMs - 1_000).toISOString(),
      properties: { action: 'zoom', price: 19.9, name: 'Tasse ✓\t', nul: 'a\0b', half: '\ud800' }
    }
    const copy = { ...full, properties: { action: 'second copy' } }
    const first = events(1_000)
    await produce(project, [...first, event('full-3', full), event('full-3', copy), ...first.slice(0, 200)])
    await eventuallyRecorded(project, recorder.group, 1_001)
    const rows = await postgres.query(
      `SELECT event_id, event_type, event_action, session_id, user_id, anonymous_id, "timestamp", received_at,
              appended_at >= received_at - INTERVAL '1 minute' AS appended, topic, "partition", metadata
       FROM raw_events WHERE project_id = $1 AND event_id = 'full-3'`,
      [project]
    )
    expect(rows).toEqual([
      {
        event_id: 'full-3',
        event_type: 'view',
        event_action: 'zoom',
        session_id: 's-1',
        user_id: 'u "1"\n\\N',
        anonymous_id: null,
        timestamp: new Date(nowMs - 1_000),
        received_at: new Date(nowMs),
        appended: true,
        topic: rawTopic(project),
        partition: 3,
        metadata: { action: 'zoom', price: 19.9, name: 'Tasse ✓\t', nul: 'a\uFFFDb', half: '\uFFFD' }
      }
    ])
  })

  it('leaves out what is no event or older than the retention, and records the neighbours', async () => {
    const project = uniqueProject('record')
    await createProjectTopics(admin, project)
    await using recorder = await startWorker({ service: 'recorder', project, env: { ...env, RETENTION_DAYS: '30' } })
    const at = (days: number) => ({ timestamp: new Date(nowMs - days * dayMs).toISOString() })
    const bad = ['', 'not JSON', '[]', '{"eventId":7}'].map((text) => ({
      partition: 0,
      key: null,
      value: Buffer.from(text)
    }))
    await produce(project, [event('a-0'), ...bad, event('b-0', at(29)), event('c-0', at(32)), event('d-0', at(400))])
    await eventuallyRecorded(project, recorder.group, 2)
    const letters = await admin.ranges(dlqTopic(project))
    expect(letters.filter(({ end }) => end > 0n)).toEqual([])
  })

  it('loses nothing and doubles nothing when the reply of a commit never comes and when it is killed after one', async () => {
    const project = uniqueProject('record')
    await createProjectTopics(admin, project)
    const address = new URL(DATABASE_URL)
    await using proxy = await openTcpProxy({ target: { host: address.hostname, port: Number(address.port) } })
    address.host = `127.0.0.1:${proxy.port}`
    await using recorder = await startWorker({
      service: 'recorder',
      project,
      env: { ...env, ...shortSession, DATABASE_URL: address.href, BATCH_SIZE: '200' },
      firstEnv: { MILLRACE_FAULTS: 'recorder.after-insert:kill:3' }
    })
    const isCommit = (chunk: Buffer): boolean => chunk.includes('COMMIT')
    const eaten = proxy.add({ kind: 'eat-reply', when: isCommit, times: 2 })
    await produce(project, events(2_000))
    await eventuallyRecorded(project, recorder.group, 2_000)
    expect(eaten.acted()).toBe(2)
    expect(recorder.service.starts).toBe(2)
  })

  it('shares a project between two recorders that both see everything', async () => {
    const project = uniqueProject('record')
    await createProjectTopics(admin, project)
    const groups = [unique('record'), unique('record')] as const
    await using one = await startWorker({ service: 'recorder', project, group: groups[0], env })
    await using two = await startWorker({ service: 'recorder', project, group: groups[1], env })
    await produce(project, events(3_000))
    await eventuallyRecorded(project, one.group, 3_000)
    await eventuallyRecorded(project, two.group, 3_000)
  })
})

describe('days', () => {
  const far = (year: number): number => Date.UTC(year, 0, 1) / dayMs
  const partitions = async (pattern: string): Promise<unknown[]> =>
    (await postgres.query('SELECT relname FROM pg_class WHERE relname ~ $1 ORDER BY 1', [`^${pattern}$`])).map(
      ({ relname }) => relname
    )

  it('are made by many at once, each once, and made again when they went away', async () => {
    const [first, ...others] = Array.from({ length: 4 }, () => createDays(postgres))
    await Promise.all([first, ...others].map(async (days) => await days?.ensure([far(2099), far(2099) + 1])))
    expect(await partitions('raw_events_2099010[12]')).toEqual(['raw_events_20990101', 'raw_events_20990102'])
    await postgres.query('DROP TABLE raw_events_20990101')
    await first?.ensure([far(2099)])
    expect(await partitions('raw_events_20990101')).toEqual([])
    first?.forget()
    await first?.ensure([far(2099)])
    expect(await partitions('raw_events_2099010[12]')).toEqual(['raw_events_20990101', 'raw_events_20990102'])
    await postgres.query('DROP TABLE raw_events_20990101, raw_events_20990102')
  })

  it('are dropped when they are older than asked, but not while somebody reads them', async () => {
    const days = createDays(postgres)
    await days.ensure([far(1971), far(1971) + 1, far(1971) + 2])
    await postgres.transaction(async (tx) => {
      await tx.query('SELECT count(*) FROM raw_events_19710101')
      expect(await days.dropBefore(far(1971) + 2)).toBe(1)
    })
    expect(await partitions('raw_events_1971.*[0-9]')).toEqual(['raw_events_19710101', 'raw_events_19710103'])
    expect(await days.dropBefore(far(1971) + 3)).toBe(2)
    expect(await partitions('raw_events_1971.*[0-9]')).toEqual([])
  })
})
