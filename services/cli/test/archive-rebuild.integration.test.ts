// The warehouse is dropped and loaded again from the archive and what the log still has, by the tool as a process.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { rawTopic } from '@millrace/contracts'
import type { Admin, Kafka, ProduceRecord } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { migrate } from '@millrace/operations/migrate'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import type { ArchiveManifest } from '@millrace/stores/archive-manifest'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { trimLog } from '@millrace/testkit/trim-log'
import { unique, uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics, startWorker } from '@millrace/testkit/worker'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const bin = fileURLToPath(new URL('../bin/millrace.mjs', import.meta.url))
const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const folder = mkdtempSync(join(tmpdir(), 'millrace-rebuild-'))
const project = uniqueProject('rebuild')
const topic = rawTopic(project)
const group = unique('load')
let env: Record<string, string>
let kafka: Kafka
let admin: Admin
let manifest: ArchiveManifest

beforeAll(async () => {
  const { databaseUrl, clickhouseUrl } = stack.use(await openTestDatabases('rebuild'))
  await migrate({ databaseDirectUrl: databaseUrl, clickhouseUrl, log })
  kafka = stack.use(await openTestKafka())
  admin = stack.use(await kafka.admin())
  await createProjectTopics(admin, project)
  const postgres = stack.use(await openPostgres({ url: databaseUrl, poolSize: 1, log, name: 'test' }))
  await postgres.query('INSERT INTO projects (id, name) VALUES ($1, $1)', [project])
  manifest = createArchiveManifest(postgres)
  env = {
    DATABASE_URL: databaseUrl,
    DATABASE_DIRECT_URL: databaseUrl,
    CLICKHOUSE_URL: clickhouseUrl,
    OBJECT_STORE_URL: pathToFileURL(join(folder, 'objects')).href
  }
})
afterAll(async () => {
  await stack.disposeAsync()
  rmSync(folder, { recursive: true, force: true })
})

async function millrace(...args: readonly string[]): Promise<{ readonly code: number | null; readonly out: string }> {
  const child = spawn(process.execPath, [bin, ...args, '--data-dir', folder], {
    env: { ...testEndpoints(), ...env, PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let out = ''
  child.stdout.on('data', (data) => (out += String(data)))
  return await new Promise((resolve) => child.once('close', (code) => resolve({ code, out })))
}

/** Events of some users at some devices in some sessions; one record in fifty is none, and one is a copy of another. */
function record(index: number): ProduceRecord {
  const of = index % 50 === 49 ? index - 8 : index
  const receivedAt = new Date(Date.UTC(2026, 5, 1) + of * 60_000).toISOString()
  const ids = {
    userId: of % 3 === 0 ? `u-${of % 7}` : undefined,
    anonymousId: `d-${of % 11}`,
    sessionId: `s-${of % 40}`
  }
  const event = { eventId: `e-${of}`, eventType: of % 20 === 0 ? 'purchase' : 'page_view', receivedAt, ...ids }
  const value = Buffer.from(index % 50 === 48 ? '{"no":"event"}' : JSON.stringify({ ...event, properties: { of } }))
  return { partition: index % 4, key: ids.anonymousId, value }
}

async function produce(from: number, to: number): Promise<void> {
  await using producer = await kafka.producer()
  const outcomes = await producer.produce(
    topic,
    Array.from({ length: to - from }, (_, index) => record(from + index))
  )
  expect(outcomes.every(({ kind }) => kind === 'acked')).toBe(true)
}

async function atEnd(what: string, positions: () => Promise<ReadonlyMap<number, bigint>>): Promise<void> {
  const ends = await admin.ranges(topic)
  const there = async (): Promise<boolean> => {
    const found = await positions()
    return ends.every(({ partition, end }) => found.get(partition) === end)
  }
  await eventually(what, there, { timeoutMs: 30_000, intervalMs: 100 })
}

const heads = async () => new Map((await manifest.heads(topic)).map(({ partition, position }) => [partition, position]))

/** Everything that people see of the project. */
async function seen(): Promise<Record<string, readonly unknown[]>> {
  const url = env['CLICKHOUSE_URL'] ?? ''
  await using clickhouse = await openClickhouse({ url, log, applicationName: 'test' })
  return {
    // Of the two views the one that reads the facts themselves: the other follows them within seconds.
    events: await clickhouse.rows(`SELECT * FROM events_fresh ORDER BY eventId`),
    sessions: await clickhouse.rows(`SELECT * FROM sessions ORDER BY sessionId`),
    firstSeen: await clickhouse.rows(
      `SELECT idKind, id, min(firstSeenAt) AS at FROM first_seen GROUP BY ALL ORDER BY ALL`
    ),
    links: await clickhouse.rows(`SELECT * FROM identity_links FINAL ORDER BY anonymousId, eventId`)
  }
}

describe('archive rebuild', () => {
  it('loads a warehouse that was dropped again as it was, with the beginning of the log gone', async () => {
    await produce(0, 600)
    const quick = { FILE_AFTER_MS: '200', SMALL_BYTES: '0', TAIL_AFTER_MS: '200', SPOOL_DIR: join(folder, 'spool') }
    {
      await using _loader = await startWorker({ service: 'loader', project, group, env })
      {
        await using _archiver = await startWorker({ service: 'archiver', project, env: { ...env, ...quick } })
        await atEnd('everything is archived', heads)
      }
      await produce(600, 700)
      await atEnd('everything is loaded', () => admin.groupOffsets(group, topic))
    }
    await trimLog(testEndpoints().KAFKA_BROKERS, topic, await heads())
    await millrace('identity', 'merge', 'u-1', 'u-2', '--project', project)
    const before = await seen()
    expect(before['events']?.filter((event) => (event as { personId: string }).personId === 'u-1')).toEqual([])
    expect(before['events']).toHaveLength(672)
    expect(before['links']?.length).toBeGreaterThan(200)

    const plan = await millrace(
      'archive',
      'rebuild',
      '--into',
      'warehouse',
      '--project',
      project,
      '--dry-run',
      '--json'
    )
    expect([plan.code, JSON.parse(plan.out)]).toMatchObject([0, { records: 700, projects: [project], gone: [] }])
    const url = env['CLICKHOUSE_URL'] ?? ''
    {
      await using clickhouse = await openClickhouse({ url, log, applicationName: 'test' })
      for (const table of ['events_raw', 'identity_links', 'first_seen', 'person_edges'])
        await clickhouse.command(`DROP TABLE ${table} SYNC`)
      await clickhouse.command('DROP VIEW sessions')
    }
    const other = unique('load')
    const rebuilt = await millrace(
      'archive',
      'rebuild',
      '--into',
      'warehouse',
      '--project',
      project,
      '--group',
      other,
      '--json'
    )
    expect(rebuilt.code).toBe(0)
    expect(JSON.parse(rebuilt.out)).toMatchObject({
      archived: 600,
      logged: 100,
      invalid: 14,
      refused: [],
      broken: [],
      gone: [],
      group: 'moved',
      restored: ['events_raw', 'identity_links', 'first_seen', 'sessions', 'person_edges']
    })
    expect(await seen()).toEqual(before)
    await atEnd('the group is at the end', () => admin.groupOffsets(other, topic))

    // A range of one partition is lost: it comes back from the archive, and nothing else is read.
    {
      await using clickhouse = await openClickhouse({ url, log, applicationName: 'test' })
      await clickhouse.command(`ALTER TABLE events_raw DELETE WHERE partition = 1 AND offset >= 20 AND offset < 60`, {
        settings: { mutations_sync: 1 }
      })
    }
    expect((await seen())['events']?.length).toBeLessThan(before['events']?.length ?? 0)
    const range = ['--from-archive', '--project', project, '--from-offset', '1:20', '--json'] as const
    const beyond = await millrace('replay', 'plan', ...range, '--to-offset', '1:100000')
    expect([beyond.code, JSON.parse(beyond.out)]).toMatchObject([
      1,
      [{ refusals: [expect.stringContaining('partition 1 is archived up to 150')] }]
    ])
    const loaded = await millrace('replay', 'start', ...range, '--to-offset', '1:60', '--reason', 'lost')
    expect([loaded.code, JSON.parse(loaded.out)]).toMatchObject([
      0,
      { archived: 40, refused: [], broken: [], gone: [], isWhole: true, days: 2 }
    ])
    expect(await seen()).toEqual(before)
  })
})
