// The gateway as it is deployed: its own process, real keys, and deaths at labelled points.
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { generateApiKey } from '@millrace/contracts'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { unique } from '@millrace/testkit/unique'
import { onlyRestedTooLong, withoutStall } from '@millrace/testkit/without-stall'
import { openGatewayScene, sendEvent } from './gateway-process.ts'
import type { GatewayProcess, GatewayScene } from './gateway-process.ts'
import { runResponseTable } from './run-response-table.ts'

const stack = new AsyncDisposableStack()
let scene: GatewayScene
let key: string

beforeAll(async () => {
  scene = stack.use(await openGatewayScene('gwp'))
  key = (await scene.insertKey('write')).key
})
afterAll(() => stack.disposeAsync())

async function send(
  gateway: GatewayProcess,
  eventId: string,
  apiKey = key
): Promise<{ status: number; code: unknown }> {
  const { status, code } = await sendEvent(gateway, eventId, apiKey)
  return { status, code }
}

/** The status of one event sent over a connection of `agent`, or the code of the error that ended it. */
async function sendThrough(agent: Agent, url: string): Promise<string> {
  const headers = { 'x-api-key': key, 'content-type': 'application/json' }
  const sending = request(`${url}/v1/events`, { method: 'POST', agent, headers })
  sending.end(JSON.stringify({ eventId: unique('keeps'), eventType: 'page_view' }))
  try {
    const [response] = (await once(sending, 'response')) as [IncomingMessage]
    response.resume()
    await once(response, 'end')
    return String(response.statusCode)
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

describe('the gateway process', () => {
  it('takes write and secret keys, turns away unknown ones, says it is healthy, and ends with 0', async () => {
    const gateway = await scene.start()
    const secretKey = await scene.insertKey('secret')
    expect(await send(gateway, unique('e'))).toEqual({ status: 202, code: undefined })
    expect(await send(gateway, unique('e'), secretKey.key)).toEqual({ status: 202, code: undefined })
    expect(await send(gateway, unique('e'), generateApiKey('write').key)).toEqual({ status: 401, code: 'unauthorized' })
    const health = (await (await fetch(`${gateway.url}/health`)).json()) as { status: string; checks: object }
    expect([health.status, health.checks]).toEqual([
      'healthy',
      { kafka: 'ok', redis: 'ok', postgres: 'ok', replicas: 'ok' }
    ])
    gateway.stop()
    expect(await gateway.exited).toBe(0)
  })

  it('answers every row of the response table that needs no scene', async () => {
    const gateway = await scene.start()
    expect(await runResponseTable(gateway.url, key)).toEqual([])
  })

  it('runs as several processes that count together and stop together', async () => {
    const gateway = await scene.start({ WORKERS: '2', ADMIN_TOKEN: 'a-token-for-tests' })
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(gateway, unique('e'))))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
    const hot = await fetch(`${gateway.url}/admin/hot-keys?project=${scene.project}`, {
      headers: { authorization: 'Bearer a-token-for-tests' }
    })
    const { windows } = (await hot.json()) as { windows: { projects: { eventTypes: { total: number } }[] }[] }
    expect(windows.flatMap(({ projects }) => projects).reduce((sum, each) => sum + each.eventTypes.total, 0)).toBe(20)
    gateway.stop()
    expect(await gateway.exited).toBe(0)
  })

  it('answers 503, never 401, to a key it cannot look up', async () => {
    const gateway = await scene.start({ DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' })
    expect(await send(gateway, unique('e'))).toEqual({ status: 503, code: 'unavailable' })
  })

  it('refuses to run on a Redis that may forget marks', async () => {
    const gateway = await scene.start({ REDIS_DEDUP_URL: testEndpoints().REDIS_CACHE_URL })
    expect(await gateway.exited).toBe(1)
    expect(gateway.output()).toContain('PIPE_REDIS_POLICY')
  })

  it('starts without Kafka and without Redis, and says what is missing', async () => {
    const gateway = await scene.start({ KAFKA_BROKERS: '127.0.0.1:1', REDIS_DEDUP_URL: 'redis://127.0.0.1:1' })
    expect(await send(gateway, unique('e'))).toEqual({ status: 503, code: 'unavailable' })
    const health = await fetch(`${gateway.url}/health`)
    const { checks } = (await health.json()) as { checks: object }
    expect([health.status, checks]).toEqual([503, { kafka: 'failed', redis: 'failed', postgres: 'ok', replicas: 'ok' }])
  })
})

describe('bodies that say nothing of their size', () => {
  it('have together the room there is, whatever they grow to, and the others are asked to come back', async () => {
    const gateway = await scene.start({ INTAKE_BYTES: '8MiB', INTAKE_PROJECT_PERCENT: '100' })
    const agent = new Agent({ maxSockets: 40 })
    onTestFinished(() => agent.destroy())
    const answered: { status: number; retryAfter: string | undefined }[] = []
    const sending = Array.from({ length: 40 }, () => {
      const headers = { 'x-api-key': key, 'content-type': 'application/json' }
      const batch = request(`${gateway.url}/v1/events/batch`, { method: 'POST', agent, headers })
      batch.on('response', (response: IncomingMessage) => {
        answered.push({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] })
        response.resume()
      })
      batch.on('error', () => {})
      // Chunked: it is not known beforehand what comes, and the end does not come yet.
      batch.write(Buffer.alloc(1024 ** 2, ' '))
      return batch
    })
    await expect.poll(() => answered.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(32)
    for (const batch of sending) batch.end(`{"events":[{"eventId":"${unique('e')}","eventType":"page_view"}]}`)
    await expect.poll(() => answered.length, { timeout: 10_000 }).toBe(40)
    const accepted = answered.filter(({ status }) => status === 202).length
    expect(accepted).toBeGreaterThan(0)
    expect(accepted).toBeLessThanOrEqual(8)
    const others = answered.filter(({ status, retryAfter }) => status === 503 && retryAfter !== undefined).length
    expect(others).toBe(40 - accepted)
  })
})

describe('a gateway whose event loop lags', () => {
  it('turns requests away by SHED_LAG_MS, and counts them under that reason', async () => {
    const gateway = await scene.start({ SHED_LAG_MS: '1' })
    // A burst makes timers late by more than a millisecond on any machine.
    const turnedAway = async (): Promise<object | undefined> => {
      const answers = await Promise.all(Array.from({ length: 50 }, () => send(gateway, unique('e'))))
      return answers.find(({ status }) => status !== 202)
    }
    await expect.poll(turnedAway, { timeout: 20_000, interval: 0 }).toEqual({ status: 503, code: 'unavailable' })
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
    expect(metrics).toMatch(/^analytics_events_unavailable_total\{reason="lag"\} [1-9]/m)
  })
})

describe('a gateway that is stopped', () => {
  it('resets no connection on which requests keep coming', async () => {
    // Connections are kept for a second, in which each of them is expected to be used.
    const explained = (seen: Record<string, number>): boolean => onlyRestedTooLong(seen, ['202', 'ECONNREFUSED'])
    const seen = await withoutStall({ limitMs: 900, explained }, async () => {
      const gateway = await scene.start()
      const agent = new Agent({ keepAlive: true, maxSockets: 64 })
      onTestFinished(() => agent.destroy())
      const outcomes = new Map<string, number>()
      const sendUntilRefused = async (): Promise<void> => {
        for (let outcome = ''; outcome !== 'ECONNREFUSED';) {
          outcome = await sendThrough(agent, gateway.url)
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
          // Most connections rest when the stop comes, which is what makes closing them hurt.
          await setTimeout(5)
        }
      }
      const senders = Array.from({ length: 64 }, sendUntilRefused)
      await expect.poll(() => outcomes.get('202') ?? 0, { timeout: 30_000 }).toBeGreaterThan(1_000)
      gateway.stop()
      expect(await gateway.exited).toBe(0)
      await Promise.all(senders)
      return Object.fromEntries(outcomes)
    })
    expect(seen).toEqual({ 202: expect.any(Number) as number, ECONNREFUSED: 64 })
  })
})

describe('a gateway that dies', () => {
  const faults = (point: string, more: Record<string, string> = {}) => ({
    MILLRACE_TEST: '1',
    MILLRACE_FAULTS: `${point}:kill`,
    ...more
  })

  it.each([
    ['gateway.before-produce', 0n],
    ['gateway.after-ack', 1n]
  ])('at %s leaves no word that the event is stored: a repeat waits for the lease', async (point, records) => {
    const before = await scene.stored()
    const eventId = unique('dies')
    const first = await scene.start(faults(point))
    expect((await send(first, eventId)).status).toBe(0)
    expect(await first.exited).toBeNull()
    expect(await scene.stored()).toBe(before + records)
    expect(await send(await scene.start(), eventId)).toEqual({ status: 503, code: 'in_progress' })
  })

  it('after its commit answers 409 to the repeat', async () => {
    const before = await scene.stored()
    const eventId = unique('dies')
    const first = await scene.start(faults('gateway.before-reply'))
    expect((await send(first, eventId)).status).toBe(0)
    expect((await send(await scene.start(), eventId)).status).toBe(409)
    expect(await scene.stored()).toBe(before + 1n)
  })

  it('with the planted bug says "duplicate" of an event that is nowhere', async () => {
    const before = await scene.stored()
    const eventId = unique('planted')
    const first = await scene.start(
      faults('gateway.before-produce', { MILLRACE_PLANTED_BUG: 'gateway-dedup-before-ack' })
    )
    expect((await send(first, eventId)).status).toBe(0)
    expect((await send(await scene.start(), eventId)).status).toBe(409)
    expect(await scene.stored()).toBe(before)
  })
})
