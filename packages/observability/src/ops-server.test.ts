import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createRegistry } from './metrics.ts'
import { createOpsApp, mergeHealth } from './ops-server.ts'
import type { Health, OpsState } from './ops-server.ts'

function state(overrides: Partial<OpsState> = {}): OpsState {
  const clock = createManualClock(10_000)
  return {
    version: '1.2.3',
    registry: createRegistry(),
    clock,
    startedAtMs: 4_000,
    ready: () => true,
    live: () => true,
    checks: {},
    ...overrides
  }
}
const failing = async (): Promise<never> => Promise.reject(new Error('refused'))

describe('operations endpoints', () => {
  it('answers 200 healthy with version, uptime in seconds and each check', async () => {
    const app = createOpsApp(state({ checks: { redis: { critical: true, run: async () => 'PONG' } } }))
    const response = await app.inject('/health')
    expect([response.statusCode, response.json()]).toEqual([
      200,
      { status: 'healthy', version: '1.2.3', uptime: 6, checks: { redis: 'ok' } }
    ])
  })

  it('is degraded with 200 when a check fails that the service can do without', async () => {
    const app = createOpsApp(state({ checks: { redis: { critical: false, run: failing } } }))
    const response = await app.inject('/health')
    expect([response.statusCode, response.json()]).toMatchObject([
      200,
      { status: 'degraded', checks: { redis: 'failed' } }
    ])
  })

  it('is unhealthy with 503 when a critical check fails', async () => {
    const app = createOpsApp(state({ checks: { kafka: { critical: true, run: failing } } }))
    const response = await app.inject('/health')
    expect([response.statusCode, response.json()]).toMatchObject([
      503,
      { status: 'unhealthy', checks: { kafka: 'failed' } }
    ])
  })

  it('counts a check that does not answer within a second as failed', async () => {
    const clock = createManualClock()
    const app = createOpsApp(state({ clock, checks: { kafka: { critical: true, run: () => new Promise(() => {}) } } }))
    await app.ready()
    const response = app.inject('/health').then((reply) => reply.statusCode)
    for (let turn = 0; turn < 20 && clock.pending() === 0; turn++) await new Promise(setImmediate)
    await clock.advance(1_000)
    expect(await response).toBe(503)
  })

  it('tells ready and live apart', async () => {
    const app = createOpsApp(state({ ready: () => false }))
    expect((await app.inject('/readyz')).statusCode).toBe(503)
    expect((await app.inject('/livez')).statusCode).toBe(200)
  })

  it('serves the registry', async () => {
    const response = await createOpsApp(state()).inject('/metrics')
    expect(response.headers['content-type']).toContain('text/plain')
    expect(response.body).toContain('process_cpu_user_seconds_total')
  })
})

describe('several processes of one service', () => {
  const health = (status: Health['status'], checks: Health['checks']): Health => ({
    status,
    version: '1',
    uptime: 5,
    checks
  })

  it('are as healthy as the worst of them, and a check failed when it failed in one', () => {
    const own = health('healthy', { redis: 'ok', kafka: 'ok' })
    const other = health('degraded', { redis: 'failed', kafka: 'ok' })
    const merged = { ...own, status: 'degraded', checks: { redis: 'failed', kafka: 'ok' } }
    expect(mergeHealth(own, [own, other])).toEqual(merged)
    expect(mergeHealth(own, [other, own])).toEqual(merged)
    expect(mergeHealth(own, [own, other, health('unhealthy', {})]).status).toBe('unhealthy')
    expect(mergeHealth(own, [])).toEqual(own)
  })

  it('answer together where the service says so', async () => {
    const together = {
      health: async () => health('unhealthy', { kafka: 'failed' }),
      metrics: async () => 'all 1'
    }
    const app = createOpsApp(state({ together }))
    expect((await app.inject('/health')).statusCode).toBe(503)
    expect((await app.inject('/metrics')).body).toBe('all 1')
  })
})
