// Keys and schemas as a running gateway sees them change, and what it does when PostgreSQL says nothing any more.
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { load } from '@millrace/config'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { fastestOf } from '@millrace/testkit/fastest-of'
import { openTcpProxy } from '@millrace/testkit/faults/tcp-proxy'
import type { TcpProxy } from '@millrace/testkit/faults/tcp-proxy'
import { unique } from '@millrace/testkit/unique'
import { limitFields } from '../src/limit-settings.ts'
import { openGatewayScene, sendEvent } from './gateway-process.ts'
import type { GatewayProcess, GatewayScene } from './gateway-process.ts'

const stack = new AsyncDisposableStack()
let scene: GatewayScene

beforeAll(async () => {
  scene = stack.use(await openGatewayScene('gwk'))
})
afterAll(() => stack.disposeAsync())

const freshMs = 600
const start = (env: Record<string, string> = {}): Promise<GatewayProcess> =>
  scene.start({ KEY_FRESH_MS: `${freshMs}ms`, ...env })

async function statusOf(gateway: GatewayProcess, key: string, more?: object): Promise<number> {
  return (await sendEvent(gateway, unique('k'), key, more)).status
}

/** Sends with `key` until it is answered `status`; how long after the call the last one was sent that was not, in ms. */
async function untilAnswered(gateway: GatewayProcess, key: string, status: number): Promise<number> {
  const startedMs = performance.now()
  for (let lastMs = startedMs; ; await setTimeout(10)) {
    const sentMs = performance.now()
    if ((await statusOf(gateway, key)) === status) return lastMs - startedMs
    if (sentMs - startedMs > 15_000) throw new Error(`never answered ${status}`)
    lastMs = sentMs
  }
}

describe('keys while a gateway runs', () => {
  it('are two at once while a project changes from one to the other', async () => {
    const gateway = await start()
    const old = await scene.insertKey('write')
    expect(await statusOf(gateway, old.key)).toBe(202)
    const next = await scene.insertKey('write')
    expect([await statusOf(gateway, next.key), await statusOf(gateway, old.key)]).toEqual([202, 202])
    await scene.postgres.query('UPDATE api_keys SET revoked_at = now() WHERE id = $1', [old.id])
    expect(await untilAnswered(gateway, old.key, 401)).toBeLessThanOrEqual(freshMs)
    expect([await statusOf(gateway, next.key), await statusOf(gateway, old.key)]).toEqual([202, 401])
  })

  it('are believed for a minute at most: a revocation is in force within it, also for one that rests', async () => {
    expect(load(limitFields, {}).KEY_FRESH_MS).toBe(60_000)
    expect(() => load(limitFields, { KEY_FRESH_MS: '60001' })).toThrow('KEY_FRESH_MS')
    const gateway = await start()
    const { id, key } = await scene.insertKey('write')
    expect(await statusOf(gateway, key)).toBe(202)
    await scene.postgres.query('UPDATE api_keys SET revoked_at = now() WHERE id = $1', [id])
    await setTimeout(freshMs)
    expect(await statusOf(gateway, key)).toBe(401)
  })

  it('end at their time, known or not', async () => {
    const gateway = await start({ KEY_FRESH_MS: '60s' })
    const endsAt = new Date(Date.now() + 1_000)
    const [known, unseen] = [await scene.insertKey('write', endsAt), await scene.insertKey('write', endsAt)]
    expect(await statusOf(gateway, known.key)).toBe(202)
    await setTimeout(endsAt.getTime() - Date.now() + 5)
    expect([await statusOf(gateway, known.key), await statusOf(gateway, unseen.key)]).toEqual([401, 401])
  })
})

/** How long an unknown key waits for its refusal, and how soon it is known when PostgreSQL answers again. */
const refusedWithinMs = 2_000
const backWithinMs = 5_000

/** PostgreSQL behind a proxy, so that it can fall silent for one gateway alone. */
async function openProxied(): Promise<{ proxy: TcpProxy; DATABASE_URL: string }> {
  const { hostname: host, port } = new URL(testEndpoints().DATABASE_URL)
  const proxy = await openTcpProxy({ target: { host, port: Number(port) } })
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  const url = new URL(scene.databaseUrl)
  url.port = String(proxy.port)
  return { proxy, DATABASE_URL: url.href }
}

describe('with a PostgreSQL that says nothing', () => {
  it('known keys and schemas go on without waiting for it, and an unknown key is asked to come back', async () => {
    const { proxy, DATABASE_URL } = await openProxied()
    const { project, postgres } = scene
    const schema = { type: 'object', properties: { amount: { type: 'number' } } }
    await postgres.query(
      `WITH pushed AS (INSERT INTO event_schemas (project_id, event_type, version, schema, created_by)
                       VALUES ($1, 'purchase', 1, $2, 'test'))
       INSERT INTO active_schemas (project_id, event_type, version, mode) VALUES ($1, 'purchase', 1, 'enforce')`,
      [project, JSON.stringify(schema)]
    )
    const gateway = await start({ DATABASE_URL })
    const known = await scene.insertKey('write')
    const bad = { eventType: 'purchase', properties: { amount: 'much' } }
    expect([await statusOf(gateway, known.key), await statusOf(gateway, known.key, bad)]).toEqual([202, 422])

    let silence = proxy.add({ kind: 'blackhole', direction: 'both' })
    const answers: { status: number; afterMs: number }[] = []
    const untilMs = performance.now() + 4 * freshMs
    while (performance.now() < untilMs) {
      answers.push(
        await sendEvent(gateway, unique('k'), known.key),
        await sendEvent(gateway, unique('k'), known.key, bad)
      )
      await setTimeout(20)
    }
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202, 422]))
    // Keys and schemas are asked for behind the requests: one may wait at most, the one that finds out. It takes a second.
    expect(answers.filter(({ afterMs }) => afterMs > 900).length).toBeLessThanOrEqual(1)

    const shareOfPromise = await fastestOf(3, 1, async (index) => {
      if (index > 0) silence = proxy.add({ kind: 'blackhole', direction: 'both' })
      const unknown = await scene.insertKey('write')
      const refused = await sendEvent(gateway, unique('k'), unknown.key)
      expect([refused.status, refused.code]).toEqual([503, 'unavailable'])
      silence[Symbol.dispose]()
      proxy.resetAll()
      return Math.max(
        refused.afterMs / refusedWithinMs,
        (await untilAnswered(gateway, unknown.key, 202)) / backWithinMs
      )
    })
    expect(shareOfPromise).toBeLessThan(1)
    expect(await statusOf(gateway, known.key)).toBe(202)
  })

  it('a project whose schemas were never read is asked to come back, rather than let pass unchecked', async () => {
    const { proxy, DATABASE_URL } = await openProxied()
    const gateway = await start({ DATABASE_URL })
    const { key } = await scene.insertKey('write')
    // The key is read before the body, and the schemas with the first whole event.
    const broken = await fetch(`${gateway.url}/v1/events`, { method: 'POST', headers: { 'x-api-key': key }, body: '{' })
    expect(broken.status).toBe(400)
    proxy.add({ kind: 'blackhole', direction: 'both' })
    expect(await sendEvent(gateway, unique('k'), key)).toMatchObject({ status: 503, code: 'unavailable' })
  })
})
