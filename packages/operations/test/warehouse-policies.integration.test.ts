// The condition of the row policies on tables that the migrations made, read through the views as on a server: an engine with
// three users, of whom the asking one is `default`. Its users come from a file, so the filters stand in for the policies;
// what is shown is whose filters hold inside of a view, and what a view knows of who asks.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { openOwnClickhouse } from '@millrace/testkit/own-clickhouse'
import { schemasFolder } from '../src/migrate.ts'
import { accessStatements, rowCondition, warehouseKinds } from '../src/warehouse-access.ts'

const stack = new AsyncDisposableStack()
const names = (kind: string): string[] => Object.keys(warehouseKinds).filter((each) => warehouseKinds[each] === kind)

/** A user with `condition` on every table of projects; without one it sees every row. */
function user(name: string, condition: string | undefined): string {
  const filter = (table: string): string => `<${table}><filter>${condition}</filter></${table}>`
  const filters = condition === undefined ? '' : names('project').map(filter).join('')
  const networks = '<networks><ip>::1</ip><ip>127.0.0.1</ip></networks>'
  const place = '<profile>default</profile><quota>default</quota>'
  return `<${name}><password></password>${networks}${place}<databases><app>${filters}</app></databases></${name}>`
}

let clickhouse: Clickhouse

beforeAll(async () => {
  const own = rowCondition(['millrace'])
  // Who asks, whom the views run as, one without a filter, and one whose filter lets who asks see everything.
  const users = [
    user('default', own),
    user('views', own),
    user('keeper', undefined),
    user('open', rowCondition(['default']))
  ]
  const file = `<clickhouse><profiles><default/></profiles><users>${users.join('')}</users><quotas><default/></quotas></clickhouse>`
  const { url } = stack.use(await openOwnClickhouse(file))
  const app = new URL(url)
  app.pathname = '/app'
  const log = createSilentLogger()
  await migrateClickhouse({ url: app.href, folder: new URL('clickhouse/', schemasFolder), log })
  clickhouse = stack.use(await openClickhouse({ url: app.href, log, applicationName: 'test' }))
  const event = (projectId: string) => ({
    projectId,
    eventId: `e-${projectId}`,
    eventType: 'view',
    anonymousId: 'a',
    sessionId: `s-${projectId}`,
    timestamp: '2026-03-01 00:00:00.000',
    version: '1'
  })
  const lines = ['shop', 'blog'].map((project) => `${JSON.stringify(event(project))}\n`).join('')
  await clickhouse.insertLines('events_raw', Object.keys(event('shop')), Buffer.from(lines))
})
afterAll(() => stack.disposeAsync())

const seen = async (table: string, logComment: string): Promise<readonly string[]> => {
  const sql = `SELECT DISTINCT projectId FROM ${table} ORDER BY 1`
  const rows = await clickhouse.rows<{ projectId: string }>(sql, {}, { settings: { log_comment: logComment } })
  return rows.map(({ projectId }) => projectId)
}
const give = (view: string, to: string): Promise<void> =>
  clickhouse.command(`ALTER TABLE ${view} MODIFY SQL SECURITY DEFINER DEFINER = ${to}`)

describe('what a reader sees through a view', () => {
  it('is the project of the request while the view is as a migration made it', async () => {
    expect([await seen('events', 'shop:1'), await seen('events', '')]).toEqual([['shop'], []])
  })

  it('is what the user of the view may see: no filter of the reader holds there', async () => {
    await give('events', 'keeper')
    expect(await seen('events_raw', 'shop:1')).toEqual(['shop'])
    expect(await seen('events', 'shop:1')).toEqual(['blog', 'shop'])
  })

  it('is everything where the name of who asks is that of a service: a view keeps it', async () => {
    await give('events', 'open')
    expect(await seen('events', '')).toEqual(['blog', 'shop'])
  })

  it('is the project of the request, and nothing without one, when access is set up', async () => {
    const access = { database: 'app', reader: 'reader', readerPassword: 'x', views: 'views', viewsPassword: 'y' }
    const statements = accessStatements({ ...access, services: ['millrace'] })
    for (const each of statements.filter((statement) => statement.startsWith('ALTER TABLE')))
      await clickhouse.command(each)
    for (const view of names('readable')) {
      expect([view, await seen(view, 'shop:1'), await seen(view, 'blog:1'), await seen(view, '')]).toEqual([
        view,
        ['shop'],
        ['blog'],
        []
      ])
    }
  })
})
