// The boundary between projects is the engine's row filter on `events_raw`, in the database `app` alone: these tests
// write there under project ids of their own, and read as the query service does.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { uniqueProject } from '@millrace/testkit/unique'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { migrate } from '../src/migrate.ts'

const log = createSilentLogger()
const stack = new AsyncDisposableStack()
const mine = uniqueProject('mine')
const other = uniqueProject('other')
const canary = `canary-${other}`
let clickhouse: Clickhouse

const read = async (sql: string, logComment = `${mine}:q1`): Promise<string> => {
  const settings = { readonly: 1, log_comment: logComment }
  return (await clickhouse.queryRaw({ sql, settings, format: 'JSONCompactEachRow', maxBytes: 1 << 20 })).toString()
}
const insert = async (projectId: string, ids: readonly string[]): Promise<void> => {
  const columns = ['projectId', 'eventType', 'eventId', 'timestamp', 'version']
  const row = { projectId, eventType: 'purchase', timestamp: '2026-03-01 10:00:00.000', version: 1 }
  const lines = ids.map((eventId) => JSON.stringify({ ...row, eventId }))
  await clickhouse.insertLines('events_raw', columns, Buffer.from(lines.join('\n')))
}

beforeAll(async () => {
  const { databaseUrl } = stack.use(await openTestDatabases('isolation'))
  const url = testEndpoints().CLICKHOUSE_URL
  await migrate({ databaseDirectUrl: databaseUrl, clickhouseUrl: url, log })
  clickhouse = stack.use(await openClickhouse({ url, log, applicationName: 'test' }))
  await insert(mine, ['m1', 'm2'])
  await insert(other, [canary])
})
afterAll(async () => {
  for (const project of [mine, other]) {
    await clickhouse.command(`ALTER TABLE events_raw DELETE WHERE projectId = '${project}'`, {
      settings: { mutations_sync: 1 }
    })
  }
  await stack.disposeAsync()
})

describe('a query with the comment of a project', () => {
  it('sees the rows of that project through the view', async () => {
    expect(await read("SELECT count() FROM events WHERE eventType = 'purchase'")).toBe('["2"]\n')
    expect(await read('SELECT DISTINCT projectId FROM events')).toBe(`["${mine}"]\n`)
    expect(await read('SELECT eventId FROM events', `${other}:q2`)).toBe(`["${canary}"]\n`)
  })

  it.each([
    ['the view', 'SELECT eventId FROM events'],
    ['the table', 'SELECT eventId FROM events_raw'],
    ['the qualified table', 'SELECT eventId FROM app.events_raw'],
    ['an alias', 'SELECT x.eventId FROM events AS x'],
    ['PREWHERE', `SELECT eventId FROM events_raw PREWHERE projectId = '${other}'`],
    ['WHERE', `SELECT eventId FROM events WHERE projectId = '${other}' OR 1`],
    ['a common table expression', 'WITH x AS (SELECT eventId FROM events) SELECT * FROM x'],
    ['a subquery', 'SELECT * FROM (SELECT eventId FROM events)'],
    ['UNION', 'SELECT eventId FROM events UNION ALL SELECT eventId FROM events_raw'],
    ['a join', 'SELECT a.eventId FROM events AS a FULL JOIN events AS b ON a.eventId = b.eventId'],
    ['a scalar', 'SELECT (SELECT max(eventId) FROM events_raw)'],
    ['IN', `SELECT '${canary}' IN (SELECT eventId FROM events_raw) AND 1`],
    ['a table right of IN', `SELECT concat('${canary}', '') IN (SELECT eventId FROM merge('app', '^events_raw$'))`],
    ['merge()', "SELECT eventId FROM merge('app', '^events')"],
    ['merge() over the view', "SELECT eventId FROM merge('app', '^events$')"],
    ['view()', 'SELECT * FROM view(SELECT eventId FROM events_raw)'],
    ['an aggregate', 'SELECT groupArray(eventId), min(eventId), max(eventId) FROM events_raw'],
    ['a probe by an error', `SELECT throwIf(eventId = '${canary}') FROM events_raw`],
    ['ARRAY JOIN', 'SELECT x FROM events ARRAY JOIN [eventId] AS x'],
    ['a window', 'SELECT any(eventId) OVER (ORDER BY eventId) FROM events_raw']
  ])('sees no row of another project through %s', async (_what, sql) => {
    const answer = await read(sql)
    expect(answer).not.toContain(`"${canary}"`)
    expect(answer).not.toMatch(/^\[(1|true)\]$/m)
  })

  it.each([
    "SELECT eventId FROM events_raw SETTINGS log_comment = 'x:1'",
    "SELECT eventId FROM events_raw SETTINGS log_comment = ''",
    // Engines before ClickHouse#115397 do not hold the settings of a subquery to readonly; ours is kept from seeing them.
    "SELECT eventId FROM (SELECT eventId FROM events_raw SETTINGS log_comment = '')",
    "SELECT eventId FROM (SELECT eventId FROM events_raw sEtTiNgS\n/* x */ `log_comment`='')",
    "SELECT eventId FROM (SELECT eventId FROM events_raw SETTINGS/**/max_threads=1, log_comment='')",
    'SELECT eventId FROM (SELECT eventId FROM events_raw SETTINGS"log_comment"=\'\')',
    "SELECT eventId FROM (SELECT eventId FROM events_raw SETTINGS --\nlog_comment='')",
    "SELECT eventId FROM (SELECT eventId FROM events_raw SETTINGS\u00a0log_comment='')",
    "SELECT '\\'' , eventId FROM (SELECT eventId FROM events_raw SETTINGS log_comment='')",
    "SELECT $a$'$a$, eventId FROM (SELECT eventId FROM events_raw SETTINGS log_comment='') WHERE 1 != '1'",
    "SELECT eventId /* ' */ FROM (SELECT eventId FROM events_raw SETTINGS log_comment='') -- '",
    "SELECT eventId FROM (SELECT eventId FROM events_raw # '\nSETTINGS log_comment='') WHERE '' = ''",
    "SELECT eventId FROM view(SELECT eventId FROM events SETTINGS log_comment = '')",
    "SELECT (SELECT groupArray(eventId) FROM events SETTINGS log_comment = '')",
    "WITH x AS (SELECT eventId FROM events SETTINGS log_comment = '') SELECT * FROM x",
    "SET log_comment = ''",
    'INSERT INTO events_raw (projectId) SELECT 1',
    'DROP TABLE events_raw',
    'CREATE VIEW mine AS SELECT 1',
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')"
  ])('is refused to change its comment, to write, or to leave the database: %s', async (sql) => {
    const answer = await read(sql).catch((error: unknown) => error)
    expect(answer).toMatchObject({ code: 'PIPE_CLICKHOUSE_QUERY' })
  })

  it('sees nothing when its project is empty or does not exist', async () => {
    for (const comment of [':q', 'nobody:q', ' :q', '%:q', `${mine.slice(0, -1)}:q`]) {
      expect(await read('SELECT count() FROM events', comment)).toBe('["0"]\n')
    }
  })
})
