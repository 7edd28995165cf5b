import { AppError } from '@millrace/kernel'
import type { LiveGrant } from '@millrace/contracts'
import { defaultProjectSettings } from '@millrace/contracts'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { describe, expect, it } from 'vitest'
import { createRealtimeApp } from './app.ts'
import type { RealtimeAppDeps } from './app.ts'
import { realtimeMetrics } from './metrics.ts'

function open(more: Partial<RealtimeAppDeps> = {}) {
  const issued: LiveGrant[] = []
  const app = createRealtimeApp({
    keys: {
      authenticate: (key) => {
        if (key === 'away') return { kind: 'unavailable' }
        if (key !== 'secret') return { kind: key === 'write' ? 'forbidden' : 'invalid' }
        return { kind: 'ok', projectId: 'shop', keyId: 'k1', logGeneration: 1, settings: defaultProjectSettings }
      }
    },
    tickets: {
      issue: async (grant) => {
        issued.push(grant)
        return 'mrt_ticket'
      }
    },
    ticketTtlMs: 60_000,
    corsOrigins: ['https://all.example'],
    demoProject: undefined,
    trustProxy: false,
    metrics: bindMetrics(realtimeMetrics, createRegistry()),
    log: createSilentLogger(),
    ...more
  })
  const post = async (url: string, headers: Record<string, string> = {}, body?: string) => {
    const type = body === undefined ? {} : { 'content-type': 'application/json' }
    return await app.inject({
      method: 'POST',
      url,
      headers: { ...type, ...headers },
      ...(body === undefined ? {} : { payload: body })
    })
  }
  return { app, issued, post }
}

const secret = { authorization: 'Bearer secret' }

describe('POST /v1/tickets', () => {
  it('gives what was asked for, under the settings of the project or the deployment', async () => {
    const { issued, post } = open()
    const all = await post('/v1/tickets', secret)
    expect([all.statusCode, all.headers['cache-control'], all.json()]).toEqual([
      201,
      'no-store',
      { ticket: 'mrt_ticket', expiresInMs: 60_000, project: 'shop', allow: ['metrics', 'sessions', 'events'] }
    ])
    await post('/v1/tickets', { 'x-api-key': 'secret' }, '{"allow":["events"]}')
    const common = { projectId: 'shop', keyId: 'k1', personal: false, origins: ['https://all.example'] }
    expect(issued).toEqual([
      { ...common, allow: ['metrics', 'sessions', 'events'] },
      { ...common, allow: ['events'] }
    ])
    const settings = { ...defaultProjectSettings, corsOrigins: ['https://shop.example'], personalInFeed: true } as const
    const own = open({
      keys: { authenticate: () => ({ kind: 'ok', projectId: 'shop', keyId: 'k2', logGeneration: 1, settings }) }
    })
    await own.post('/v1/tickets', secret)
    expect(own.issued[0]).toMatchObject({ keyId: 'k2', personal: true, origins: ['https://shop.example'] })
  })

  it.each([
    [{}, undefined, 401, 'unauthorized'],
    [{ authorization: 'Bearer other' }, undefined, 401, 'unauthorized'],
    [{ authorization: 'Bearer write' }, undefined, 403, 'forbidden'],
    [{ authorization: 'Bearer away' }, undefined, 503, 'unavailable'],
    [{ ...secret, origin: 'https://shop.example' }, undefined, 403, 'forbidden'],
    [secret, '{', 400, 'invalid_json'],
    [secret, '{"__proto__":1}', 400, 'invalid_json'],
    [secret, '[]', 422, 'invalid_field'],
    [secret, '{"allow":[]}', 422, 'invalid_field'],
    [secret, '{"allow":["x"]}', 422, 'invalid_field'],
    [secret, '{"allow":["events"],"more":1}', 422, 'invalid_field'],
    [secret, `{"allow":["${'x'.repeat(5_000)}"]}`, 413, 'body_too_large']
  ])('answers %j with %s by %i %s', async (headers, body, status, code) => {
    const { post } = open()
    const reply = await post('/v1/tickets', headers, body)
    expect([reply.statusCode, reply.json().code]).toEqual([status, code])
  })

  it('answers 503 while tickets cannot be kept', async () => {
    const issue = async () => {
      throw new AppError('PIPE_REDIS_UNAVAILABLE', 'away')
    }
    const reply = await open({ tickets: { issue } }).post('/v1/tickets', secret)
    expect([reply.statusCode, reply.headers['retry-after']]).toEqual([503, '2'])
  })
})

describe('the demo', () => {
  const page = { host: '127.0.0.1:4003', 'x-millrace-page': 'live' }

  it('is not there unless it is set up', async () => {
    expect((await open().post('/demo/ticket', page)).statusCode).toBe(404)
  })

  it('gives tickets to the page of this service on this machine alone', async () => {
    const { post, issued } = open({ demoProject: 'demo' })
    const statusOf = async (headers: Record<string, string>) => (await post('/demo/ticket', headers)).statusCode
    expect(await statusOf(page)).toBe(201)
    expect(await statusOf({ ...page, origin: 'http://127.0.0.1:4003' })).toBe(201)
    expect(await statusOf({ ...page, origin: 'http://evil.example' })).toBe(403)
    expect(await statusOf({ ...page, host: 'evil.example:4003' })).toBe(403)
    expect(await statusOf({ host: '127.0.0.1:4003' })).toBe(403)
    expect(issued).toHaveLength(2)
    expect(issued[0]?.projectId).toBe('demo')
  })
})

describe('the page', () => {
  it('loads nothing of another host and is told whether there is a demo', async () => {
    const { app } = open({ demoProject: 'demo' })
    const html = await app.inject('/')
    expect(html.headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self';/)
    expect(html.body).toContain('data-demo="demo"')
    expect((await open().app.inject('/')).body).toContain('data-demo=""')
    for (const path of ['/live.js', '/live.css']) expect((await app.inject(path)).statusCode).toBe(200)
    expect(html.body + (await app.inject('/live.js')).body).not.toMatch(/https?:\/\//)
  })
})

describe('the description', () => {
  it('names the addresses that there are', async () => {
    const { app } = open()
    const { paths } = (await app.inject('/openapi.json')).json<{ paths: Record<string, object> }>()
    for (const path of Object.keys(paths).filter((each) => !/^\/(health|livez|readyz|metrics)$/.test(each))) {
      const method = 'post' in (paths[path] ?? {}) ? 'POST' : 'GET'
      expect([path, (await app.inject({ method, url: path })).statusCode]).not.toEqual([path, 404])
    }
  })

  it('is a page as well, which loads nothing', async () => {
    const page = await open().app.inject('/docs')
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; style-src/)
    expect(page.body).toContain('POST</span> /v1/tickets')
    expect(page.body).toContain('<code>ticket</code> (query, required)')
    expect(page.body).not.toMatch(/<script|https?:\/\//)
  })
})
