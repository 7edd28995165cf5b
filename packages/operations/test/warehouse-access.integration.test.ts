// The engine of the local stack has no writable users, so what is shown here is the grammar of every statement and what the
// condition of the policies lets through; that a server applies them is shown on a server (docs/clickhouse-server.md).
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { accessStatements, rowCondition } from '../src/warehouse-access.ts'

const stack = new AsyncDisposableStack()
let clickhouse: Clickhouse

beforeAll(async () => {
  const { CLICKHOUSE_URL: url } = testEndpoints()
  clickhouse = stack.use(await openClickhouse({ url, log: createSilentLogger(), applicationName: 'test' }))
})
afterAll(() => stack.disposeAsync())

const statements = accessStatements({
  database: 'app',
  services: ['millrace', 'default'],
  reader: 'reader',
  readerPassword: 'secret',
  views: 'views',
  viewsPassword: 'nobody knows'
})

describe('the statements of access', () => {
  it.each(statements)('are of the grammar: %s', async (statement) => {
    const [row] = await clickhouse.rows<{ readonly text: string }>('SELECT formatQuery({statement:String}) AS text', {
      statement
    })
    expect(row?.text).not.toBe('')
  })

  it('is refused when it is not of the grammar, so that the test above can fail', async () => {
    const wrong = { statement: 'CREATE ROW POLICY p ON app.t USING 1 AS RESTRICTED TO ALL' }
    await expect(clickhouse.rows('SELECT formatQuery({statement:String})', wrong)).rejects.toMatchObject({
      details: { code: 62 }
    })
  })

  it.each([
    ['of one project, the rows of it', 'shop:0190', ['nobody'], ['shop']],
    ['of a project whose name begins like another, its own', 'sho:0190', ['nobody'], ['sho']],
    ['without a project, none', '', ['nobody'], []],
    ['of a service, all', '', ['default', 'millrace'], ['sho', 'shop']]
  ])('show a request %s', async (_what, logComment, services, seen) => {
    const rows = await clickhouse.rows<{ readonly projectId: string }>(
      `SELECT projectId FROM values('projectId String', 'shop', 'sho') WHERE ${rowCondition(services)} ORDER BY 1`,
      {},
      { settings: { log_comment: logComment } }
    )
    expect(rows.map(({ projectId }) => projectId)).toEqual(seen)
  })
})
