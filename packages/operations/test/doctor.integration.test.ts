import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dlqTopic, rawTopic } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import type { Redis, RedisRole } from '@millrace/stores/redis'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { openOwnRedis } from '@millrace/testkit/own-redis'
import type { OwnRedis } from '@millrace/testkit/own-redis'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { uniqueProject } from '@millrace/testkit/unique'
import { storeClocks } from '../src/doctor/open-clocks.ts'
import { runDoctor } from '../src/doctor/run-doctor.ts'
import type { DoctorDeps } from '../src/doctor/run-doctor.ts'
import type { CheckName } from '../src/doctor/finding.ts'
import { migrate, schemasFolder } from '../src/migrate.ts'
import { ensureTopics, loadTopicDeclaration } from '../src/topics.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const project = uniqueProject('doctor')
let admin: Admin
let postgres: Postgres
let clickhouse: Clickhouse
let deps: DoctorDeps

async function openOwn(role: RedisRole, args: readonly string[]): Promise<{ own: OwnRedis; redis: Redis }> {
  const own = stack.use(await openOwnRedis(args))
  const redis = await openRedis({ url: own.url, role, log, requirePolicy: 'when-reachable', commandTimeoutMs: 2_000 })
  return { own, redis: stack.use(redis) }
}

beforeAll(async () => {
  const { KAFKA_BROKERS: _brokers, ...endpoints } = testEndpoints()
  const databases = stack.use(await openTestDatabases('doctor'))
  await migrate({ databaseDirectUrl: databases.databaseUrl, clickhouseUrl: databases.clickhouseUrl, log })
  postgres = stack.use(await openPostgres({ url: databases.databaseUrl, poolSize: 2, log, name: 'test' }))
  clickhouse = stack.use(await openClickhouse({ url: databases.clickhouseUrl, log, applicationName: 'test' }))
  admin = await stack.use(await openTestKafka(testEndpoints())).admin()
  const declaration = await loadTopicDeclaration()
  await ensureTopics({ admin, declaration, profile: 'local', projects: [project] })
  const redis = [
    (await openOwn('dedup', [])).redis,
    (await openOwn('state', ['--appendonly', 'yes'])).redis,
    (await openOwn('cache', ['--maxmemory-policy', 'allkeys-lru', '--maxmemory', '64mb'])).redis
  ]
  // Other tests of the stack have topics of their own, in other shapes.
  const own = { ...admin, listTopics: async () => (await admin.listTopics()).filter(isOurs) }
  deps = {
    admin: own,
    declaration,
    profile: 'local',
    projects: async () => [project],
    lag: async () => ({ rows: [], leaderless: [], unknown: [] }),
    postgres,
    clickhouse,
    schemas: schemasFolder,
    pools: 50,
    redis,
    clock: systemClock,
    clocks: storeClocks({ postgres, clickhouse, redis }),
    folders: [],
    settings: { ...endpoints, API_KEY_PEPPER: 'f1d2a3c4b5e6978812345678', ADMIN_TOKEN: 'a9b8c7d6e5f4132412345678' }
  }
})
afterAll(() => stack.disposeAsync())

const isOurs = (topic: string): boolean => topic.includes(project) || topic.startsWith('redrive.')

/** What one examination finds wrong, as `subject: detail`; each has a fix. */
async function wrong(check: CheckName, changed: Partial<DoctorDeps> = {}): Promise<readonly string[]> {
  const { healthy, findings } = await runDoctor({ ...deps, ...changed }, [check])
  const bad = findings.filter(({ status }) => status === 'failure')
  expect(healthy).toBe(bad.length === 0)
  for (const { fix = '' } of bad) expect(fix).not.toBe('')
  return bad.map(({ subject, detail }) => `${subject}: ${detail}`)
}

describe('the doctor', () => {
  it('finds nothing wrong with a stack that is as it has to be', async () => {
    const { healthy, findings } = await runDoctor(deps)
    expect(findings.filter(({ status, check }) => status !== 'ok' && check !== 'disks')).toEqual([])
    expect(healthy).toBe(true)
    expect(new Set(findings.map(({ check }) => check)).size).toBe(10)
  })

  it('finds a group that is so late that its records will be gone', async () => {
    const late = { group: 'load', topic: rawTopic(project), partition: 2, records: 9, seconds: 3 * 86_400 }
    const lag = async () => ({ rows: [late], leaderless: [], unknown: [] })
    expect(await wrong('retention', { lag })).toEqual([
      `${rawTopic(project)}: load is 72.0 h behind in partition 2, records are kept for 168.0 h`
    ])
    const near = async () => ({ rows: [{ ...late, seconds: 2 * 86_400 }], leaderless: [], unknown: [] })
    expect(await wrong('retention', { lag: near })).toEqual([])
  })

  it('finds a topic with too few partitions, and one whose settings were changed', async () => {
    const declaration = structuredClone(deps.declaration) as typeof deps.declaration & {
      families: { dlq: { partitions: { local: number } } }
    }
    declaration.families.dlq.partitions.local = 3
    expect(await wrong('topics', { declaration })).toEqual([`${dlqTopic(project)}: partitions is 2, declared 3`])
    await admin.alterTopicConfig(rawTopic(project), { 'min.insync.replicas': '2' })
    // The broker answers before it works by it.
    const changed = await eventually('the broker tells of the change', async () => {
      const found = await wrong('topics')
      return found.length === 0 ? undefined : found
    })
    expect(changed).toEqual([
      `${rawTopic(project)}: min.insync.replicas is 2, declared 1`,
      `${rawTopic(project)}: 1 of 1 copies of a partition are in sync, 2 have to be: nothing is taken`
    ])
    await admin.alterTopicConfig(rawTopic(project), { 'min.insync.replicas': '1' })
    expect(await wrong('topics', { projects: async () => [project, `${project}x`] })).toContain(
      `${rawTopic(`${project}x`)}: does not exist`
    )
  })

  it('finds a Redis that evicts, what it has forgotten, and one that keeps no file', async () => {
    const dedup = (await openOwn('dedup', ['--maxmemory', '3mb', '--maxmemory-policy', 'allkeys-lru'])).redis
    for (let key = 0; key < 60; key++) await dedup.command('SET', `mark-${key}`, 'x'.repeat(100_000))
    const [policy, forgotten] = await wrong('redis', { redis: [dedup] })
    expect(policy).toBe('dedup: maxmemory-policy is allkeys-lru, the role needs noeviction')
    expect(forgotten).toMatch(/^dedup: has forgotten [1-9]\d* keys since it started$/)
    const { own, redis: state } = await openOwn('state', [])
    expect(await wrong('redis', { redis: [state] })).toEqual(['state: appendonly is no, the role needs yes'])
    own.kill()
    expect((await wrong('redis', { redis: [state] }))[0]).toMatch(/^could not be asked: PIPE_REDIS_UNAVAILABLE: /)
  })

  it('finds clocks that are apart, and brokers that are ahead', async () => {
    const slow = { ...systemClock, now: () => systemClock.now() - 20_000 }
    const found = await wrong('clocks', { clock: slow })
    expect(found).toHaveLength(5)
    expect(found[0]).toMatch(/^PostgreSQL: (19|20)\.\d s ahead of this machine$/)
    const ahead = {
      ...deps.admin,
      ranges: async (topic: string) => [{ topic, partition: 0, start: 0n, end: 5n }],
      offsetsAt: async () => new Map([[0, 4n]])
    }
    expect(await wrong('clocks', { admin: ahead })).toEqual([
      `brokers of ${rawTopic(project)}: 5.0 s ahead of this machine`
    ])
  })

  it('finds pools that want more connections than there are', async () => {
    expect(await wrong('connections', { pools: 5_000 })).toEqual([
      'pools: may open 5000 connections, PostgreSQL takes 297'
    ])
  })

  it('finds a migration that is not applied, and one that was applied otherwise', async () => {
    const [last] = await postgres.query<{ number: number; name: string; checksum: string }>(
      'DELETE FROM schema_migrations WHERE number = (SELECT max(number) FROM schema_migrations) RETURNING number, name, checksum'
    )
    expect(await wrong('schemas')).toEqual([`PostgreSQL: ${last?.name} is not applied`])
    const restore = 'INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)'
    await postgres.query(restore, [last?.number, last?.name, 'other'])
    expect((await wrong('schemas'))[0]).toContain(`migration ${last?.name} differs from what was applied`)
    await postgres.query('UPDATE schema_migrations SET checksum = $1 WHERE number = $2', [last?.checksum, last?.number])
    expect(await wrong('schemas')).toEqual([])
  })

  it('finds tables of the warehouse that somebody changed, and views that are gone', async () => {
    await clickhouse.command("ALTER TABLE identity_links ADD COLUMN note String DEFAULT ''")
    expect(await wrong('schemas')).toEqual([])
    await clickhouse.command('ALTER TABLE events_raw RENAME COLUMN browser TO program')
    expect((await wrong('schemas'))[0]).toMatch(/events_raw: browser \S+ is missing$/)
    await clickhouse.command('DROP VIEW sessions')
    expect(await wrong('schemas')).toEqual(['ClickHouse: missing: sessions'])
  })

  it('finds secrets that can be guessed, and prints none', async () => {
    const settings = {
      API_KEY_PEPPER: 'aaaaaaaaaaaaaaaaaaaaaa',
      DATABASE_URL: 'postgres://millrace:postgres@db.example:5432/millrace',
      REDIS_STATE_URL: 'redis://state.internal:6379/0'
    }
    const found = await wrong('settings', { settings })
    expect(found).toEqual([
      'API_KEY_PEPPER: can be guessed',
      'DATABASE_URL: its password can be guessed, or there is none',
      'REDIS_STATE_URL: its password can be guessed, or there is none'
    ])
  })
})
