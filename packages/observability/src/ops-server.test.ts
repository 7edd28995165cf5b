import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createRegistry } from './metrics.ts'
import { createOpsApp } from './ops-server.ts'
import type { OpsState } from './ops-server.ts'

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
