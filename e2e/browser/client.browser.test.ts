// The client in a real browser, on a site of another origin than the gateway's: what the browser asks before it sends,
// what it lets the page read, and what it still sends when the page is gone.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '@millrace/testkit/eventually'
import type { Pipeline, TestProject } from '@millrace/testkit/pipeline'
import { openE2e } from '../open-e2e.ts'
import { openChromium } from './chromium.ts'
import type { Browser } from './chromium.ts'
import { openPageServer } from './page-server.ts'
import type { PageServer } from './page-server.ts'

interface Site {
  readonly browser: Browser
  readonly server: PageServer
  readonly foreign: PageServer
}

describe('the client in a browser', () => {
  const stack = new AsyncDisposableStack()
  let site: Site
  beforeAll(async () => {
    const [browser, server, foreign] = await Promise.all([openChromium(), openPageServer(), openPageServer()])
    for (const each of [browser, server, foreign]) stack.use(each)
    site = { browser, server, foreign }
  })
  afterAll(() => stack.disposeAsync())

  it('sends from another origin, reads its answers, and sends what is left when the tab is closed', async () => {
    const pipeline = await openE2e()
    const project = await pipeline.createProject('browser')
    await pipeline.set(project, { corsOrigins: site.server.origin })
    const tab = await site.browser.open(`${site.server.origin}/shop?utm_source=letter`)
    await tab.evaluate(start(pipeline, project))

    const settled = await tab.evaluate(`Promise.all([
      client.page(),
      client.identify('user-1', { plan: 'pro' }),
      client.track('add_to_cart', { sku: 'tent-2' }),
      client.track('purchase', { amount: 129 }, { eventId: 'order-1' })
    ]).then((all) => all.map(({ status }) => status))`)
    expect(settled).toEqual(['accepted', 'accepted', 'accepted', 'accepted'])
    const again = await tab.evaluate(
      `client.track('purchase', {}, { eventId: 'order-1' }).then(({ status }) => status)`
    )
    expect(again).toBe('duplicate')

    await tab.evaluate(`void client.track('left', { last: true }, { eventId: 'left-1' })`)
    await tab.close()
    const rows = await eventually(
      'five events in SQL',
      async () => {
        const sql = 'SELECT eventType, count() FROM events GROUP BY eventType ORDER BY eventType'
        const answer = await pipeline.query(project, sql)
        return answer.rows.length === 5 && answer.rows
      },
      { timeoutMs: 40_000 }
    )
    expect(rows.map(([type, count]) => [type, Number(count)])).toEqual([
      ['add_to_cart', 1],
      ['identify', 1],
      ['left', 1],
      ['page_view', 1],
      ['purchase', 1]
    ])
  })

  it('is refused on an origin that the project does not name', async () => {
    const pipeline = await openE2e({ only: ['gateway'] })
    const project = await pipeline.createProject('browser')
    await pipeline.set(project, { corsOrigins: site.server.origin })
    const tab = await site.browser.open(site.foreign.origin)
    await tab.evaluate(start(pipeline, project, { retries: 0 }))
    const outcome = await tab.evaluate(
      `client.track('x', {}, { eventId: 'foreign-1' }).then(() => 'stored', ({ name }) => name)`
    )
    expect(outcome).toBe('TrackError')
    // The id is still free: nothing of the refused event was stored.
    expect((await pipeline.send(project, { eventId: 'foreign-1', eventType: 'x' })).status).toBe(202)
    await tab.close()
  })
})

/** Creates `client` in the page. */
function start(pipeline: Pipeline, project: TestProject, options: Readonly<Record<string, unknown>> = {}): string {
  const url = new URL(pipeline.eventsUrl).origin
  return `window.client = createClient(${JSON.stringify({ url, writeKey: project.writeKey, ...options })}); undefined`
}
