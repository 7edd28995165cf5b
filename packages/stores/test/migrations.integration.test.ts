import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { eventColumns } from '@millrace/contracts'
import { createSilentLogger } from '@millrace/observability'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import type { TestDatabases } from '@millrace/testkit/test-databases'
import { openClickhouse } from '../src/clickhouse.ts'
import { migrateClickhouse, migratePostgres, restoreClickhouse } from '../src/migrations.ts'
import { openPostgres } from '../src/postgres.ts'
import { splitStatements } from '../src/sql-statements.ts'

const log = createSilentLogger()
const schemas = new URL('../../../schemas/', import.meta.url)
let databases: TestDatabases
let directory: string

beforeEach(async () => {
  databases = await openTestDatabases('migrations')
  directory = await mkdtemp(join(tmpdir(), 'millrace-migrations-'))
  return async () => {
    await databases[Symbol.asyncDispose]()
    await rm(directory, { recursive: true })
  }
})

const folder = (): URL => pathToFileURL(`${directory}/`)
const write = (name: string, sql: string): Promise<void> => writeFile(join(directory, name), sql)
const postgres = () => migratePostgres({ url: databases.databaseUrl, folder: folder(), log })
const clickhouse = () => migrateClickhouse({ url: databases.clickhouseUrl, folder: folder(), log })

describe('migratePostgres', () => {
  it('applies each file once, in order, however many processes start together', async () => {
    await write('0001_a.sql', 'CREATE TABLE a (id int); INSERT INTO a VALUES (1);')
    await write('0002_b.sql', 'INSERT INTO a VALUES (2)')
    const runs = await Promise.all([postgres(), postgres(), postgres()])
    expect(runs.map(({ length }) => length).sort()).toEqual([0, 0, 2])
    await using database = await openPostgres({ url: databases.databaseUrl, poolSize: 1, log, name: 'test' })
    expect(await database.query('SELECT id FROM a ORDER BY id')).toEqual([{ id: 1 }, { id: 2 }])
  })

  it('leaves nothing of a file that fails, and goes on from there', async () => {
    await write('0001_a.sql', 'CREATE TABLE a (id int)')
    await write('0002_b.sql', 'CREATE TABLE b (id int); SELECT 1 / 0;')
    await expect(postgres()).rejects.toMatchObject({ code: 'PIPE_POSTGRES_REFUSED' })
    await write('0002_b.sql', 'CREATE TABLE b (id int)')
    expect(await postgres()).toEqual(['0002_b.sql'])
  })

  it('refuses to go on when an applied file was changed', async () => {
    await write('0001_a.sql', 'CREATE TABLE a (id int)')
    await postgres()
    await write('0001_a.sql', 'CREATE TABLE a (id bigint)')
    await expect(postgres()).rejects.toMatchObject({
      code: 'PIPE_MIGRATION_DRIFT',
      details: { migration: '0001_a.sql' }
    })
  })

  it('makes an audit log that takes rows and never changes them', async () => {
    await migratePostgres({ url: databases.databaseUrl, folder: new URL('postgres/', schemas), log })
    await using database = await openPostgres({ url: databases.databaseUrl, poolSize: 1, log, name: 'test' })
    await database.query("INSERT INTO audit_log (actor, action, subject) VALUES ('t', 'x', 'y')")
    for (const change of ["UPDATE audit_log SET actor = 'z'", 'DELETE FROM audit_log', 'TRUNCATE audit_log']) {
      await expect(database.query(change)).rejects.toMatchObject({ code: 'PIPE_POSTGRES_REFUSED' })
    }
    expect(await database.query('SELECT actor FROM audit_log')).toEqual([{ actor: 't' }])
  })
})

describe('migrateClickhouse', () => {
  it('makes the database, applies each file once, and completes one that was killed in the middle', async () => {
    const whole = "CREATE TABLE IF NOT EXISTS a (s String DEFAULT ';') ENGINE = MergeTree ORDER BY s;\n"
    await write('0001_a.sql', `${whole}SELECT throwIf(1)`)
    await expect(clickhouse()).rejects.toMatchObject({ code: 'PIPE_CLICKHOUSE_QUERY' })
    await write('0001_a.sql', `${whole}CREATE TABLE IF NOT EXISTS b (s String) ENGINE = MergeTree ORDER BY s`)
    expect(await clickhouse()).toEqual(['0001_a.sql'])
    expect(await clickhouse()).toEqual([])
    await write('0001_a.sql', whole)
    await expect(clickhouse()).rejects.toMatchObject({ code: 'PIPE_MIGRATION_DRIFT' })
  })

  it('waits for nothing that the server does to old rows, and does not begin it a second time', async () => {
    const table = 'CREATE TABLE IF NOT EXISTS a (s String, k String) ENGINE = MergeTree ORDER BY s;\n'
    const later =
      'ALTER TABLE a ADD COLUMN IF NOT EXISTS t String MATERIALIZED s, ADD COLUMN IF NOT EXISTS u String MATERIALIZED s;\n'
    const fill = 'ALTER TABLE a MATERIALIZE COLUMN t, MATERIALIZE COLUMN u;\n'
    await write('0001_a.sql', table)
    await clickhouse()
    await using database = await openClickhouse({ url: databases.clickhouseUrl, log, applicationName: 'test' })
    await database.command("INSERT INTO a VALUES ('x', 'y')")
    await database.command('SYSTEM STOP MERGES a')
    const begun = async () =>
      await database.rows('SELECT command FROM system.mutations WHERE database = currentDatabase() AND NOT is_done')
    const steps = `${later}${fill}ALTER TABLE a DROP COLUMN IF EXISTS k;\n`
    await write('0002_b.sql', `${steps}SELECT throwIf(1)`)
    await expect(clickhouse()).rejects.toMatchObject({ code: 'PIPE_CLICKHOUSE_QUERY' })
    const once = await begun()
    expect(once.length).toBe(3)
    await write('0002_b.sql', steps)
    expect(await clickhouse()).toEqual(['0002_b.sql'])
    expect(await begun()).toEqual(once)
    await database.command('SYSTEM START MERGES a')
  })
})

describe('the schemas of this version', () => {
  it('bear a second run of every ClickHouse statement, as a kill in the middle makes it', async () => {
    const files = { url: databases.clickhouseUrl, folder: new URL('clickhouse/', schemas), log }
    const names = await migrateClickhouse(files)
    await using database = await openClickhouse({ url: databases.clickhouseUrl, log, applicationName: 'test' })
    for (const name of names) {
      const statements = splitStatements(await readFile(new URL(name, files.folder), 'utf8'))
      for (const statement of statements) await database.command(statement)
    }
    await database.command('TRUNCATE TABLE schema_migrations')
    expect(await migrateClickhouse(files)).toEqual(names)
  })

  it('show the persons of events that were loaded before as they were, after each statement of 0006, too', async () => {
    const files = { url: databases.clickhouseUrl, folder: new URL('clickhouse/', schemas), log }
    for (const name of ['0001_events_raw', '0002_events', '0003_first_seen', '0004_identity', '0005_identity_pairs'])
      await write(`${name}.sql`, await readFile(new URL(`${name}.sql`, files.folder), 'utf8'))
    await clickhouse()
    await using database = await openClickhouse({ url: databases.clickhouseUrl, log, applicationName: 'test' })
    // A login at 30 s on every second device, which a second user takes over at 50 s on every fourth.
    const from = `(
      SELECT intDiv(number, 60) AS d, number % 60 AS second, if(d = 7, 'guest', concat('d', toString(d))) AS anonymousId,
        concat('e', toString(second), anonymousId) AS eventId,
        multiIf(second = 30 AND d % 2 = 0, 'ann', second = 50 AND d % 4 = 0, 'bob', second = 10, 'null', '') AS userId,
        toDateTime64(1780272000 + second, 3, 'UTC') AS timestamp
      FROM numbers(600))`
    await database.command(
      `INSERT INTO events_raw (projectId, eventId, anonymousId, userId, timestamp)
       SELECT 'p', eventId, anonymousId, userId, timestamp FROM ${from}`
    )
    await database.command(
      `INSERT INTO identity_links (projectId, eventId, anonymousId, userId, timestamp)
       SELECT 'p', eventId, anonymousId, userId, timestamp FROM ${from} WHERE userId IN ('ann', 'bob')`
    )
    const shown = async () => {
      for (const name of ['devices', 'shared', 'persons'])
        await database.command(`SYSTEM RELOAD DICTIONARY identity_${name}`)
      const ask = (view: string) =>
        database.rows(`SELECT eventId, personId, personIdAtEvent FROM ${view} ORDER BY eventId`)
      return await Promise.all([ask('events'), ask('events_fresh')])
    }
    const before = await shown()
    expect(before[0]).toContainEqual({ eventId: 'e55d4', personId: 'bob', personIdAtEvent: 'bob' })
    expect(before[0]).toContainEqual({ eventId: 'e5d4', personId: 'ann', personIdAtEvent: 'anon:d4' })
    expect(before[1]).toEqual(before[0])
    for (const statement of splitStatements(await readFile(new URL('0006_identity_facts.sql', files.folder), 'utf8'))) {
      await database.command(statement)
      expect(await shown(), statement).toEqual(before)
    }
    expect((await migrateClickhouse(files)).length).toBeGreaterThan(0)
    expect(await shown()).toEqual(before)
  })
})

describe('restoreClickhouse', () => {
  it('makes what was dropped again, and completes what an earlier restore left half done', async () => {
    const files = { url: databases.clickhouseUrl, folder: new URL('clickhouse/', schemas), log }
    await migrateClickhouse(files)
    await using database = await openClickhouse({ url: databases.clickhouseUrl, log, applicationName: 'test' })
    const shapes = () =>
      database.rows(
        'SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name'
      )
    const whole = await shapes()
    await database.command('DROP TABLE events_raw SYNC')
    // A restore that was killed behind the second file: every name is there, and a view as it once was.
    for (const name of ['0001_events_raw.sql', '0002_events.sql'])
      for (const statement of splitStatements(await readFile(new URL(name, files.folder), 'utf8')))
        await database.command(statement)
    expect(await shapes()).not.toEqual(whole)
    expect(await restoreClickhouse(files)).toEqual([])
    expect(await shapes()).toEqual(whole)
    await database.command('DROP VIEW sessions')
    expect(await restoreClickhouse(files)).toEqual(['sessions'])
    expect(await shapes()).toEqual(whole)
  })
})

describe('events_raw and events', () => {
  const stack = new AsyncDisposableStack()
  let url: string
  beforeAll(async () => {
    url = stack.use(await openTestDatabases('events')).clickhouseUrl
    await migrateClickhouse({ url, folder: new URL('clickhouse/', schemas), log })
  })
  afterAll(() => stack.disposeAsync())

  const columnsOf = async (table: string): Promise<readonly (readonly string[])[]> => {
    await using database = await openClickhouse({ url, log, applicationName: 'test' })
    const columns = await database.rows<{ name: string; type: string }>(`DESCRIBE TABLE ${table}`)
    return columns.map(({ name, type }) => [name, type])
  }
  const declared = eventColumns.map(({ name, type }) => [name, type])

  it('has exactly the columns of the row, in its order, and whom it names by itself', async () => {
    expect(await columnsOf('events_raw')).toEqual([
      ...declared,
      ['subject', 'String'],
      ['subjectKey', 'UInt64'],
      ['subjectCheck', 'UInt64']
    ])
  })

  it('shows all of them but the version, and the persons', async () => {
    expect(await columnsOf('events')).toEqual([
      ...declared.filter(([name]) => name !== 'version'),
      ['personId', 'String'],
      ['personIdAtEvent', 'String']
    ])
  })

  it('shows an event once, in its copy of the highest version, however often it was inserted', async () => {
    await using database = await openClickhouse({ url, log, applicationName: 'test' })
    const row = { projectId: 'p', eventType: 'buy', eventId: 'e1', timestamp: '2026-03-01 10:00:00.000' }
    const insert = (rows: readonly object[]): Promise<void> => {
      const body = Buffer.from(rows.map((copy) => JSON.stringify(copy)).join('\n'))
      const columns = ['projectId', 'eventType', 'eventId', 'timestamp', 'offset', 'version']
      return database.insertLines('events_raw', columns, body, { settings: { insert_deduplicate: 0 } })
    }
    const copies = [
      { ...row, offset: 5, version: '18014398509481985' },
      { ...row, offset: 9, version: '18014398509481984' },
      { ...row, eventId: 'e2', timestamp: '2026-02-28 23:59:59.999', offset: 6, version: '1' }
    ]
    for (let time = 0; time < 3; time++) await insert(copies)
    expect(await database.rows('SELECT eventId, offset, timestamp FROM events ORDER BY eventId')).toEqual([
      { eventId: 'e1', offset: '5', timestamp: '2026-03-01 10:00:00.000' },
      { eventId: 'e2', offset: '6', timestamp: '2026-02-28 23:59:59.999' }
    ])
  })
})
