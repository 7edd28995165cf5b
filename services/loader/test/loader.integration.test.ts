import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ENRICH_VERSION, dlqTopic, rawTopic, redriveTopic, rowVersion } from '@millrace/contracts'
import type { Admin, Kafka, ProduceRecord, Producer } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { openTcpProxy } from '@millrace/testkit/faults/tcp-proxy'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { unique, uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics, startWorker } from '@millrace/testkit/worker'

const stack = new AsyncDisposableStack()
const { CLICKHOUSE_URL } = testEndpoints()
let kafka: Kafka
let admin: Admin
let producer: Producer
let clickhouse: Clickhouse

beforeAll(async () => {
  kafka = stack.use(await openTestKafka())
  admin = stack.use(await kafka.admin())
  producer = stack.use(await kafka.producer())
  clickhouse = stack.use(
    await openClickhouse({ url: CLICKHOUSE_URL, log: createSilentLogger(), applicationName: 'test' })
  )
})
afterAll(() => stack.disposeAsync())

const receivedAt = '2026-06-01T12:00:00.000Z'
const event = (id: string, change: object = {}): ProduceRecord => ({
  partition: Number(/\d+$/.exec(id)?.[0] ?? 0) % 4,
  key: id,
  value: Buffer.from(JSON.stringify({ eventId: id, eventType: 'view', receivedAt, ...change }))
})
const ids = (count: number, prefix = 'e'): string[] => Array.from({ length: count }, (_, index) => `${prefix}-${index}`)

async function produce(project: string, records: readonly ProduceRecord[]): Promise<void> {
  const outcomes = await producer.produce(rawTopic(project), records)
  expect(outcomes.filter(({ kind }) => kind !== 'acked')).toEqual([])
}

interface Counts {
  readonly rows: number
  readonly ids: number
}

/** What the view shows of a project. */
async function visible(project: string): Promise<Counts> {
  const [row] = await clickhouse.rows<{ rows: string; ids: string }>(
    'SELECT count() AS rows, uniqExact(eventId) AS ids FROM events WHERE projectId = {project:String}',
    { project }
  )
  return { rows: Number(row?.rows), ids: Number(row?.ids) }
}

/** The statement is in the address of the request, its rows are the body. */
const isInsert = (chunk: Buffer): boolean => /^POST \S*INSERT/.test(chunk.subarray(0, 4_096).toString('latin1'))

const all = (count: number): Counts => ({ rows: count, ids: count })

async function eventuallyVisible(project: string, count: number): Promise<void> {
  const shows = async (): Promise<boolean> => (await visible(project)).ids >= count
  await eventually(`${count} events of ${project} are visible`, shows, { timeoutMs: 40_000, intervalMs: 200 })
  expect(await visible(project)).toEqual(all(count))
}

/** Resolves when the group has committed the end of every partition of the project's raw topic. */
async function eventuallyCommitted(group: string, project: string): Promise<void> {
  const ends = new Map((await admin.ranges(rawTopic(project))).map(({ partition, end }) => [partition, end]))
  await eventually(`${group} committed the end of ${rawTopic(project)}`, async () => {
    const offsets = await admin.groupOffsets(group, rawTopic(project))
    return [...ends].every(([partition, end]) => end === 0n || offsets.get(partition) === end)
  })
}

describe('loader', () => {
  it('makes every event visible once, in all its columns, and commits behind them', async () => {
    const project = uniqueProject('load')
    await createProjectTopics(admin, project)
    await using loader = await startWorker({ service: 'loader', project, env: { FLUSH_AFTER_MS: '100' } })
    const detail = {
      userId: 'u "1"\n',
      timestamp: '2026-06-01T11:59:58.250Z',
      sentAt: '2026-06-01T11:59:59Z',
      properties: { price: 19.9, name: 'Tasse ✓', list: [1, 'a'] },
      context: { page: { url: 'https://shop.example/p/1', referrer: 'https://www.google.com/' } },
      userAgent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.5 Safari/605.1'
    }
    const records = ids(1_000).map((id) => event(id))
    await produce(project, [...records, event('full-3', detail), ...records.slice(0, 200)])
    await eventuallyVisible(project, 1_001)
    const [row] = await clickhouse.rows(
      `SELECT * EXCEPT (appendedAt, latenessMs), appendedAt > receivedAt AS later FROM events
       WHERE projectId = {project:String} AND eventId = 'full-3'`,
      { project }
    )
    expect(row).toMatchObject({
      projectId: project,
      eventId: 'full-3',
      eventType: 'view',
      userId: 'u "1"\n',
      anonymousId: '',
      timestamp: '2026-06-01 11:59:58.250',
      sentAt: '2026-06-01 11:59:59.000',
      receivedAt: '2026-06-01 12:00:00.000',
      path: '/p/1',
      trafficSource: 'search',
      deviceType: 'desktop',
      os: 'macOS',
      browser: 'Safari',
      isBot: false,
      properties: '{"price":19.9,"name":"Tasse ✓","list":[1,"a"]}',
      enrichVersion: ENRICH_VERSION,
      topic: rawTopic(project),
      partition: 3,
      later: 1
    })
    await eventuallyCommitted(loader.group, project)
  })

  it('leaves records that are not events to the processor, and their neighbours land', async () => {
    const project = uniqueProject('load')
    await createProjectTopics(admin, project)
    await using loader = await startWorker({ service: 'loader', project, env: { FLUSH_AFTER_MS: '100' } })
    const garbage = ['', 'not JSON', '[]', '{"eventId":7,"eventType":"a"}', '[['.repeat(300_000)]
    const bad: ProduceRecord[] = garbage.map((text) => ({ partition: 0, key: null, value: Buffer.from(text) }))
    bad.push({ partition: 0, key: 'k', value: null }, { partition: 0, key: null, value: Buffer.from([0xff, 0xfe]) })
    const mixed = bad.flatMap((record, index) => [event(`a${index}-0`), record, event(`b${index}-0`)])
    await produce(project, mixed)
    await eventuallyVisible(project, 14)
    await eventuallyCommitted(loader.group, project)
    const letters = await admin.ranges(dlqTopic(project))
    expect(letters.filter(({ end }) => end > 0n)).toEqual([])
    const series = await (await fetch(`${loader.service.url}/metrics`)).text()
    expect(series).toMatch(/analytics_events_dropped_total\{[^}]*reason="invalid"[^}]*\} 7$/m)
  })

  it('loses and doubles nothing when it is killed after an insert, before the commit', async () => {
    const project = uniqueProject('load')
    await createProjectTopics(admin, project)
    await produce(
      project,
      ids(2_000).map((id) => event(id))
    )
    await using loader = await startWorker({
      service: 'loader',
      project,
      env: { BATCH_SIZE: '300', FLUSH_AFTER_MS: '100', SESSION_TIMEOUT_MS: '6s', HEARTBEAT_INTERVAL_MS: '500' },
      firstEnv: { MILLRACE_FAULTS: 'loader.after-insert:kill:3' }
    })
    await eventuallyVisible(project, 2_000)
    await eventuallyCommitted(loader.group, project)
    expect(await visible(project)).toEqual(all(2_000))
    expect(loader.service.starts).toBe(2)
  })

  it('inserts again what the server took without being heard', async () => {
    const project = uniqueProject('load')
    await createProjectTopics(admin, project)
    const url = new URL(CLICKHOUSE_URL)
    await using proxy = await openTcpProxy({ target: { host: url.hostname, port: Number(url.port) } })
    const eaten = proxy.add({ kind: 'eat-reply', when: isInsert, times: 3 })
    url.port = String(proxy.port)
    await using loader = await startWorker({
      service: 'loader',
      project,
      env: { CLICKHOUSE_URL: url.href, BATCH_SIZE: '200', FLUSH_AFTER_MS: '100' }
    })
    await produce(
      project,
      ids(1_000).map((id) => event(id))
    )
    await eventuallyVisible(project, 1_000)
    await eventuallyCommitted(loader.group, project)
    expect(eaten.acted()).toBe(3)
    const series = await (await fetch(`${loader.service.url}/metrics`)).text()
    expect(series).toMatch(/analytics_loader_doubtful_inserts_total\{reason="unavailable"\} 3$/m)
  })

  it('waits while ClickHouse is away and sets nothing aside', async () => {
    const project = uniqueProject('load')
    await createProjectTopics(admin, project)
    const url = new URL(CLICKHOUSE_URL)
    await using proxy = await openTcpProxy({ target: { host: url.hostname, port: Number(url.port) } })
    const refused = proxy.add({ kind: 'refuse' })
    url.port = String(proxy.port)
    await using loader = await startWorker({
      service: 'loader',
      project,
      env: { CLICKHOUSE_URL: url.href, FLUSH_AFTER_MS: '100' }
    })
    await produce(
      project,
      ids(100).map((id) => event(id))
    )
    await eventually('the loader tried twice', () => refused.acted() >= 2)
    expect(await visible(project)).toEqual(all(0))
    expect((await admin.groupOffsets(loader.group, rawTopic(project))).size).toBe(0)
    proxy.clear()
    await eventuallyVisible(project, 100)
    expect((await admin.ranges(dlqTopic(project))).filter(({ end }) => end > 0n)).toEqual([])
  })

  it('gives a redriven event the place of the record that failed, also one that was no event to the processors', async () => {
    const project = uniqueProject('load')
    const group = unique('load')
    await createProjectTopics(admin, project)
    await admin.createTopics([{ topic: redriveTopic(group), partitions: 1, replicationFactor: 1, config: {} }])
    const letter = (writer: string, offset: number, stage: string) => ({
      'dlq.id': `${writer}:${rawTopic(project)}:3:${offset}`,
      'dlq.topic': rawTopic(project),
      'dlq.partition': '3',
      'dlq.offset': String(offset),
      'dlq.append-time': '1780315200500',
      'dlq.group': writer,
      'dlq.stage': stage,
      'dlq.error-class': 'constraint',
      'dlq.attempts': '4',
      'dlq.first-failure': '1780315201000',
      'dlq.last-failure': '1780315202000'
    })
    await producer.produce(redriveTopic(group), [
      { ...event('e-1'), partition: 0, headers: letter(group, 41, 'handle') },
      { ...event('e-2'), partition: 0, headers: letter('process', 42, 'decode') }
    ])
    await using loader = await startWorker({ service: 'loader', project, group, env: { FLUSH_AFTER_MS: '100' } })
    await eventuallyVisible(project, 2)
    const columns = 'topic, partition, offset, appendedAt, latenessMs, toString(version) AS version'
    const rows = await clickhouse.rows(
      `SELECT ${columns} FROM events_raw WHERE projectId = {project:String} ORDER BY offset`,
      { project }
    )
    expect(rows).toEqual(
      [41n, 42n].map((offset) => ({
        topic: rawTopic(project),
        partition: 3,
        offset: String(offset),
        appendedAt: '2026-06-01 12:00:00.500',
        latenessMs: '500',
        version: rowVersion(ENRICH_VERSION, 1_780_315_200_500, offset)
      }))
    )
    expect(loader.group).toBe(group)
  })

  it('loses events with the planted bug, so these tests can see a loss', async () => {
    const project = uniqueProject('load')
    await createProjectTopics(admin, project)
    const url = new URL(CLICKHOUSE_URL)
    await using proxy = await openTcpProxy({ target: { host: url.hostname, port: Number(url.port) } })
    url.port = String(proxy.port)
    await using loader = await startWorker({
      service: 'loader',
      project,
      env: { CLICKHOUSE_URL: url.href, FLUSH_AFTER_MS: '100', MILLRACE_PLANTED_BUG: 'loader-commit-before-insert' }
    })
    const refused = proxy.add({ kind: 'refuse' })
    proxy.resetAll()
    await produce(
      project,
      ids(100).map((id) => event(id))
    )
    await eventuallyCommitted(loader.group, project)
    await eventually('the insert was refused', () => refused.acted() > 0)
    proxy.clear()
    await produce(project, [event('marker-1')])
    await eventually('the marker is visible', async () => (await visible(project)).ids > 0)
    expect(await visible(project)).toEqual(all(1))
  })

  it('commits what it has inserted, with what is derived from it, when it is stopped', async () => {
    const project = uniqueProject('load')
    await createProjectTopics(admin, project)
    await using loader = await startWorker({ service: 'loader', project, env: { FLUSH_AFTER_MS: '60s' } })
    const month = (index: number): string => new Date(Date.UTC(1984, index, 2)).toISOString()
    await produce(
      project,
      ids(50).map((id, index) => event(id, { timestamp: month(index % 3), userId: 'u', anonymousId: `d-${index % 3}` }))
    )
    await eventually('the loader has taken the events', async () => {
      const series = await (await fetch(`${loader.service.url}/metrics`)).text()
      return /analytics_consumer_records_total\{[^}]*\} 50$/m.test(series)
    })
    await loader.service.stop()
    expect(await visible(project)).toEqual(all(50))
    await eventuallyCommitted(loader.group, project)
    const [sides] = await clickhouse.rows(
      `SELECT (SELECT count() FROM identity_links FINAL WHERE projectId = {project:String}) AS links,
         (SELECT toString(groupArray((idKind, id, seenAt))) FROM (
            SELECT idKind, id, min(firstSeenAt) AS seenAt FROM first_seen WHERE projectId = {project:String}
            GROUP BY idKind, id ORDER BY seenAt, id LIMIT 3
          )) AS firsts`,
      { project }
    )
    expect(sides).toEqual({
      links: '50',
      firsts:
        "[('anonymous','d-0','1984-01-02 00:00:00.000'),('user','u','1984-01-02 00:00:00.000')," +
        "('anonymous','d-1','1984-02-02 00:00:00.000')]"
    })
  })
})
