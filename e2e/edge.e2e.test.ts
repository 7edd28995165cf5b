// infra/nginx for real: nginx with TLS in front of two gateways, two query services and two realtimes.
import { randomBytes } from 'node:crypto'
import { connect } from 'node:http2'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toProblem } from '@millrace/contracts'
import { ensurePrograms } from '@millrace/local-stack/ensure-programs'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningServices } from '@millrace/local-stack/supervisor'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { openPipeline } from '@millrace/testkit/pipeline'
import type { Pipeline, TestProject } from '@millrace/testkit/pipeline'
import { createEdgeClient } from './edge/edge-client.ts'
import type { Answer, EdgeClient } from './edge/edge-client.ts'
import { openEdge } from './edge/nginx.ts'
import type { Edge } from './edge/nginx.ts'

const stack = new AsyncDisposableStack()
const served = ['gateway', 'query', 'realtime'] as const
const env = { MILLRACE_TEST: '1', TRUST_PROXY: 'true', COLLECT_IP: 'true', CACHE_FRESH_MS: '0', SHED_LAG_MS: '0' }
let pipeline: Pipeline
let second: RunningServices
let edge: Edge
let client: EdgeClient

beforeAll(async () => {
  await ensurePrograms({ log: () => undefined, more: ['nginx'] })
  const folder = await mkdtemp(join(tmpdir(), 'millrace-edge-services-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const endpoints = testEndpoints()
  const pepper = randomBytes(16).toString('hex')
  pipeline = stack.use(await openPipeline({ endpoints, folder, pepper, env, only: [...served, 'loader'] }))
  const others = { endpoints, pepper, folder: join(folder, 'second'), ports: 'ephemeral', only: served, env } as const
  second = stack.use(await startServices({ ...others, restart: false }))
  const ports = (name: (typeof served)[number]) => [pipeline.services, second].map((all) => all.service(name).port)
  edge = stack.use(await openEdge({ gateway: ports('gateway'), query: ports('query'), realtime: ports('realtime') }))
  client = stack.use(createEdgeClient(edge))
})
afterAll(() => stack.disposeAsync())

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const post = (project: TestProject, path: string, body: unknown, headers = {}): Promise<Answer> =>
  client.send(path, {
    method: 'POST',
    headers: { ...bearer(project.writeKey), 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body)
  })
const problem = ({ status, text }: Answer): unknown => [status, JSON.parse(text)]

describe('the edge', () => {
  it('gives each credential its own answer to the same URL, and keeps it', async () => {
    const [one, two] = [await pipeline.createProject('edgea'), await pipeline.createProject('edgeb')]
    const spoofed = { 'x-forwarded-for': '203.0.113.9' }
    expect((await post(one, '/v1/events', { eventId: 'a1', eventType: 'seen' }, spoofed)).status).toBe(202)
    const events = [1, 2].map((each) => ({ eventId: `b${each}`, eventType: 'seen' }))
    expect((await post(two, '/v1/events/batch', { events })).status).toBe(202)

    const sql = encodeURIComponent('SELECT count() FROM events')
    const ask = async (key: string, headers = {}): Promise<readonly unknown[]> => {
      const {
        status,
        headers: given,
        text
      } = await client.send(`/v1/query?sql=${sql}`, { headers: { ...bearer(key), ...headers } })
      const { rows } = JSON.parse(text) as { rows?: readonly (readonly unknown[])[] }
      return [status, given['x-cache-status'], Number(rows?.[0]?.[0])]
    }
    const fresh = { 'cache-control': 'no-store' }
    await eventually(
      'both projects in SQL',
      async () => {
        const counts = [await ask(one.secretKey, fresh), await ask(two.secretKey, fresh)].map(([, , count]) => count)
        return counts.join() === '1,2'
      },
      { timeoutMs: 30_000 }
    )

    expect(await ask(one.secretKey)).toEqual([200, 'MISS', 1])
    expect(await ask(two.secretKey)).toEqual([200, 'MISS', 2])
    expect(await ask(one.secretKey)).toEqual([200, 'HIT', 1])
    expect(await ask(two.secretKey)).toEqual([200, 'HIT', 2])
    expect(await ask(one.secretKey, fresh)).toEqual([200, 'BYPASS', 1])
    expect(await ask(`${one.secretKey.slice(0, -1)}x`)).toEqual([401, 'MISS', Number.NaN])
    const without = await client.send(`/v1/query?sql=${sql}`)
    expect([without.status, without.headers['x-cache-status']]).toEqual([401, 'BYPASS'])
    expect(await pipeline.query(one, 'SELECT ip FROM events')).toMatchObject({ rows: [['127.0.0.1']] })
    expect(edge.log()).not.toContain(one.secretKey)
  })

  it('hands on bodies of 5 MiB, and refuses larger ones as the gateway would', async () => {
    const project = await pipeline.createProject('edgec')
    const limit = 5 * 1024 ** 2
    const events = Array.from({ length: 25 }, (_, index) => ({
      eventId: `large-${index}`,
      eventType: 'large',
      properties: { text: 'x'.repeat(200_000) }
    }))
    const body = JSON.stringify({ events })
    const padded = body.padEnd(limit, ' ')
    const headers = { ...bearer(project.writeKey), 'content-type': 'application/json' }
    const taken = await client.send('/v1/events/batch', { method: 'POST', headers, body: padded })
    expect(taken.status).toBe(202)
    const refused = await client.send('/v1/events/batch', { method: 'POST', headers, body: `${padded} ` })
    const detail = 'a body of events has at most 5 MiB'
    expect(problem(refused)).toEqual([413, toProblem('body_too_large', { detail })])
    expect(refused.headers['content-type']).toBe('application/problem+json')
  })

  it('opens a WebSocket with a ticket', async () => {
    const project = await pipeline.createProject('edged')
    const asked = await client.send('/v1/tickets', { method: 'POST', headers: bearer(project.secretKey) })
    const { ticket } = JSON.parse(asked.text) as { ticket: string }
    const { status, message } = await client.upgrade(`/realtime?ticket=${ticket}`)
    expect([status, JSON.parse(message)]).toMatchObject([101, { type: 'welcome', project: project.projectId }])
    expect((await client.upgrade(`/realtime?ticket=${ticket}`)).status).toBe(401)
    expect(edge.log()).not.toContain(ticket)
  })

  it.each(['/metrics', '/health', '/readyz', '/admin/hot-keys', '/v1/admin', '/openapi.json', '/v1/events/other'])(
    'has nothing at %s',
    async (path) => {
      expect(problem(await client.send(path))).toEqual([404, toProblem('not_found')])
    }
  )

  it('speaks HTTP/2, tells browsers to stay with TLS, and sends others there with method and body', async () => {
    const session = connect(`https://localhost:${edge.port}`, { ca: edge.ca })
    const stream = session.request({ ':path': '/healthz' })
    const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
      stream.on('response', resolve)
      stream.on('error', reject)
    })
    stream.resume()
    session.close()
    expect(headers).toMatchObject({ ':status': 200, 'strict-transport-security': 'max-age=31536000' })
    const plain = await fetch(`http://127.0.0.1:${edge.plainPort}/v1/events`, { method: 'POST', redirect: 'manual' })
    expect([plain.status, plain.headers.get('location')]).toEqual([308, 'https://127.0.0.1/v1/events'])
  })

  it('loses a gateway: only what it had in hand is answered 503, and repeated it is no second event', async () => {
    const project = await pipeline.createProject('edgee')
    const failed: { readonly eventId: string; readonly startedAt: number; readonly answer: Answer }[] = []
    let sent = 0
    const gateway = second.service('gateway')
    let goneAt: Promise<number> | undefined
    const kill = async (): Promise<number> => {
      gateway.kill('SIGKILL')
      await eventually('the gateway is gone', () => gateway.pid === undefined, { intervalMs: 5 })
      return performance.now()
    }
    const sender = async (): Promise<void> => {
      while (sent < 700) {
        const eventId = `event-${sent++}`
        const startedAt = performance.now()
        const answer = await post(project, '/v1/events', { eventId, eventType: 'sent' })
        if (answer.status !== 202) failed.push({ eventId, startedAt, answer })
        if (sent > 250) goneAt ??= kill()
      }
    }
    await Promise.all(Array.from({ length: 16 }, sender))
    const lastFailureAt = ((await goneAt) ?? 0) + 250
    expect(failed.length).toBeGreaterThan(0)
    expect(failed.length).toBeLessThanOrEqual(16)
    const detail = 'repeat the request; events with the same eventId'
    for (const { answer, startedAt } of failed) {
      expect(problem(answer)).toEqual([503, toProblem('unavailable', { detail })])
      expect(answer.headers['retry-after']).toBe('1')
      expect(startedAt).toBeLessThan(lastFailureAt)
    }
    // The gateway that died may have stored it; until its lease ends nobody else may, and says so.
    let open = 0
    for (const { eventId } of failed) {
      const again = await post(project, '/v1/events', { eventId, eventType: 'sent' })
      if (again.status === 503) expect(JSON.parse(again.text)).toMatchObject({ code: 'in_progress' })
      else expect([202, 409]).toContain(again.status)
      if (again.status === 503) open++
    }
    await eventually(
      'every event in SQL, once',
      async () => {
        const { rows } = await pipeline.query(project, 'SELECT count(), uniqExact(eventId) FROM events')
        const [events = 0, ids = 0] = (rows[0] ?? []).map(Number)
        expect(events).toBe(ids)
        return ids >= sent - open
      },
      { timeoutMs: 40_000 }
    )
  })
})
