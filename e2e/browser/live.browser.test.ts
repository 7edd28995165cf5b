// The live page in a real browser: it loads under its own policy, with a ticket that a server asked for, and what is sent
// through the gateway shows within moments.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '@millrace/testkit/eventually'
import type { Pipeline, TestProject } from '@millrace/testkit/pipeline'
import { openE2e } from '../open-e2e.ts'
import { openChromium } from './chromium.ts'
import type { Browser, Tab } from './chromium.ts'

describe('the live page', () => {
  const stack = new AsyncDisposableStack()
  let browser: Browser
  beforeAll(async () => {
    browser = stack.use(await openChromium())
  })
  afterAll(() => stack.disposeAsync())

  it('shows numbers that rise with the events of the project, and the events themselves', async () => {
    const pipeline = await openE2e({ only: ['gateway', 'processor', 'aggregator', 'realtime'] })
    const project = await pipeline.createProject('live')
    const { url } = pipeline.services.service('realtime')
    const tab = await browser.open(`${url}/#ticket=${await ticketFor(url, project)}`)
    await eventually('the connection', async () => (await textOf(tab, 'status')) === 'live')
    expect(await textOf(tab, 'project')).toBe(project.projectId)
    expect(await tab.evaluate('location.hash')).toBe('')
    expect(await tab.evaluate("getComputedStyle(document.querySelector('main')).display")).toBe('grid')

    await sendEvents(pipeline, project, 3)
    const shown = async (): Promise<number> =>
      Number(await textOf(tab, 'events')) + Number(await textOf(tab, 'events-before'))
    await eventually('three events in the number', async () => (await shown()) === 3, patient)
    await sendEvents(pipeline, project, 2)
    await eventually('five events in the number', async () => (await shown()) === 5, patient)
    await eventually('the users', async () => (await textOf(tab, 'users')) !== '0', patient)
    await eventually('the types', async () => (await textOf(tab, 'types')).includes('sale'), patient)
    await eventually('the recent events', async () => (await textOf(tab, 'recent')).includes('cart'), patient)
    // What clients send is text in the page, whatever it looks like.
    expect(await tab.evaluate("document.querySelectorAll('b').length")).toBe(0)
    await tab.close()
  })

  it('gets its own tickets where a demo is set up, and connects again when the service was away', async () => {
    const pipeline = await openE2e({ only: ['realtime'], env: { DEMO_PROJECT: 'demo' } })
    const service = pipeline.services.service('realtime')
    const tab = await browser.open(service.url)
    await eventually('the connection', async () => (await textOf(tab, 'status')) === 'live')
    expect(await textOf(tab, 'project')).toBe('demo')
    await service.restart()
    await eventually('the end of it', async () => (await textOf(tab, 'status')) === 'not connected')
    await eventually('the next connection', async () => (await textOf(tab, 'status')) === 'live', { timeoutMs: 40_000 })
    await tab.close()
  })

  it('asks for a ticket when it has none', async () => {
    const pipeline = await openE2e({ only: ['realtime'] })
    const tab = await browser.open(pipeline.services.service('realtime').url)
    await eventually('the help', async () => (await tab.evaluate("document.getElementById('help').hidden")) === false)
    await tab.close()
  })
})

/** On a stack that other tests have filled, workers have more to look at than this project. */
const patient = { timeoutMs: 60_000 }

async function ticketFor(url: string, { secretKey }: TestProject): Promise<string> {
  const response = await fetch(`${url}/v1/tickets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secretKey}` }
  })
  return ((await response.json()) as { ticket: string }).ticket
}

async function sendEvents(pipeline: Pipeline, project: TestProject, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const event = { eventType: 'sale', userId: `u-${index}`, context: { page: { path: '/<b>cart</b>' } } }
    const { status } = await pipeline.send(project, event)
    if (status !== 202) throw new Error(`not accepted: ${status}`)
  }
}

const textOf = async (tab: Tab, id: string): Promise<string> =>
  await tab.evaluate<string>(`document.getElementById('${id}').textContent`)
