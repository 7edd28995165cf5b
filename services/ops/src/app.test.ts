import fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { addOpsRoutes, bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import type { OpsState } from '@millrace/observability'
import type { Postgres } from '@millrace/stores/postgres'
import { createOpsApp, opsRoutes } from './app.ts'
import type { OpsRouteDeps } from './app.ts'
import { opsMetrics } from './metrics.ts'
import { createOpenApi } from './openapi.ts'
import { addRoutes, route } from './route.ts'

const adminToken = 'mr_a_secret'
const authorization = `Bearer ${adminToken}`

/** What the routes of these tests never touch. */
const unused = {
  replays: {} as OpsRouteDeps['replays'],
  epochBuilds: {} as OpsRouteDeps['epochBuilds'],
  trail: {} as OpsRouteDeps['trail'],
  doctor: async () => ({ healthy: true, findings: [] })
}

/** The server over a database that answers every query with `rows`, or throws. */
function open(rows: readonly object[] | Error = []) {
  const query = async () => {
    if (rows instanceof Error) throw rows
    return rows
  }
  const postgres = { query, transaction: (fn: (tx: object) => unknown) => fn({ query }) } as unknown as Postgres
  return createOpsApp({
    adminToken,
    metrics: bindMetrics(opsMetrics, createRegistry()),
    log: createSilentLogger(),
    postgres,
    pepper: 'pepper',
    actor: 'api:admin',
    letters: () => Promise.reject(new Error('not here')),
    monitor: { view: () => ({ atMs: 0, rows: [], partitions: [], leaderChanges: 0, unknown: [] }), alerts: () => [] },
    clock: createManualClock(),
    ...unused,
    trail: { postgres } as unknown as OpsRouteDeps['trail'],
    ensureTopics: async () => undefined
  })
}

describe('the administration API', () => {
  it('tells what the doctor found, of the examinations that are asked for', async () => {
    const ask = async (url: string) => await open().inject({ url, headers: { authorization } })
    const good = await ask('/v1/doctor?only=redis&only=disks&pools=80')
    expect([good.statusCode, good.json()]).toEqual([200, { healthy: true, findings: [] }])
    expect((await ask('/v1/doctor?only=everything')).statusCode).toBe(422)
    expect((await ask('/v1/doctor?pools=many')).statusCode).toBe(422)
  })

  it('tells the last comparison of each project, with its age, whichever process made it', async () => {
    const ask = async (rows: readonly object[]) =>
      (await open(rows).inject({ url: '/v1/reconciliation', headers: { authorization } })).json()
    const nothing = { endedAt: null, ageSeconds: null, projects: [], failed: [] }
    expect(await ask([])).toEqual(nothing)
    const at = new Date(createManualClock().now() - 90_000)
    const found = { projectId: 'shop', isGreen: true }
    const row = { project_id: 'shop', compared_at: at, found, failed_at: null, failure: null }
    const never = { project_id: 'news', compared_at: null, found: null, failed_at: at, failure: 'no answer' }
    expect(await ask([never, row])).toEqual({
      endedAt: at.toISOString(),
      ageSeconds: 90,
      projects: [{ ...found, comparedAt: at.toISOString(), ageSeconds: 90 }],
      failed: [{ projectId: 'news', reason: 'no answer', at: at.toISOString() }]
    })
  })

  it.each([
    ['/v1/projects', undefined],
    ['/v1/projects', 'Bearer mr_a_wrong'],
    ['/%761/projects', undefined],
    ['/v1/projects/', undefined],
    ['/v1/keys?project=shop', `Basic ${adminToken}`]
  ])('answers nothing of %s to %j', async (url, given) => {
    const response = await open().inject({ url, headers: given === undefined ? {} : { authorization: given } })
    expect([401, 404]).toContain(response.statusCode)
    expect(response.json<{ type: string }>().type).toMatch(/^urn:millrace:problem:(unauthorized|not_found)$/)
  })

  it('asks every endpoint under /v1 for the token', async () => {
    const app = open()
    for (const { method, path } of opsRoutes({} as OpsRouteDeps)) {
      const response = await app.inject({ method, url: path.replaceAll(/:\w+/g, 'x'), payload: {} })
      expect([method, path, response.statusCode]).toEqual([method, path, 401])
    }
  })

  it('is not to be kept, and its description may be', async () => {
    const app = open()
    const listed = await app.inject({ url: '/v1/projects', headers: { authorization } })
    expect([listed.statusCode, listed.headers['cache-control']]).toEqual([200, 'no-store'])
    expect((await app.inject('/openapi.json')).headers['cache-control']).toBe('public, max-age=300')
  })

  it.each([
    ['a member that is missing', {}, 'missing_field', '/projectId'],
    ['a member that is not known', { projectId: 'shop', colour: 'red' }, 'unknown_field', '/colour'],
    ['a member that breaks its rule', { projectId: 'x'.repeat(40) }, 'invalid_field', '/projectId'],
    ['an id that the procedure refuses', { projectId: 'Shop' }, 'invalid_field', undefined]
  ])('refuses %s', async (_what, payload, code, pointer) => {
    const response = await open().inject({ method: 'POST', url: '/v1/projects', headers: { authorization }, payload })
    expect(response.json()).toMatchObject({ status: 422, code, ...(pointer === undefined ? {} : { pointer }) })
  })

  it.each([
    [new AppError('PIPE_POSTGRES_UNAVAILABLE', 'no answer'), 503, 'unavailable'],
    [new AppError('PIPE_NOT_FOUND', 'no such project'), 404, 'not_found'],
    [new AppError('PIPE_CONFLICT', 'exists'), 409, 'conflict'],
    [new TypeError('a bug'), 500, 'internal']
  ])('answers %s as a problem', async (error, status, code) => {
    const response = await open(error).inject({ url: '/v1/projects', headers: { authorization } })
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([status, code])
    expect(response.body).not.toContain('a bug')
  })

  it('sends bigints as text', async () => {
    const app = fastify()
    const reply = { status: 200, description: '' } as const
    const one = route({ method: 'GET', path: '/x', summary: '', reply, handle: async () => ({ offset: 2n ** 60n }) })
    addRoutes(app, [one], { adminToken, metrics: bindMetrics(opsMetrics, createRegistry()) })
    expect((await app.inject({ url: '/x', headers: { authorization } })).json()).toEqual({
      offset: '1152921504606846976'
    })
  })
})

describe('its description', () => {
  it('has every address that is served, and no other', () => {
    const served = new Set<string>()
    const app = open()
    // Fastify tells of routes only while they are added: the same ones, once more.
    const again = fastify()
    again.addHook('onRoute', ({ url, method }) => {
      for (const each of [method].flat())
        if (each !== 'HEAD') served.add(`${each.toLowerCase()} ${url.replaceAll(/:(\w+)/g, '{$1}')}`)
    })
    const routes = opsRoutes({} as OpsRouteDeps)
    addRoutes(again, routes, { adminToken, metrics: bindMetrics(opsMetrics, createRegistry()) })
    addOpsRoutes(again, {} as OpsState)
    for (const url of ['/docs', '/openapi.json']) if (app.hasRoute({ method: 'GET', url })) served.add(`get ${url}`)
    const described = Object.entries(createOpenApi('1', routes).paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`)
    )
    expect(described.toSorted()).toEqual([...served].toSorted())
  })

  it('is shown as a page', async () => {
    const page = await open().inject('/docs')
    expect([page.statusCode, page.body.includes('/v1/projects/{projectId}')]).toEqual([200, true])
  })
})
