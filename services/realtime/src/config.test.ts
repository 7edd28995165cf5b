import { load } from '@millrace/config'
import { describe, expect, it } from 'vitest'
import { realtimeRules, realtimeSpec } from './config.ts'

const required = {
  KAFKA_BROKERS: 'k:9092',
  DATABASE_URL: 'postgres://p/x',
  REDIS_CACHE_URL: 'redis://r',
  REDIS_STATE_URL: 'redis://r',
  API_KEY_PEPPER: 'pepper'
}
const settle = (env: Record<string, string>) => load(realtimeSpec, { ...required, ...env }, realtimeRules)

describe('the settings of the live feed', () => {
  it('show a demo only where nobody else can reach it', () => {
    expect(settle({ DEMO_PROJECT: 'demo' }).DEMO_PROJECT).toBe('demo')
    expect(settle({ HOST: '0.0.0.0' }).HOST).toBe('0.0.0.0')
    expect(() => settle({ DEMO_PROJECT: 'demo', HOST: '0.0.0.0' })).toThrow('DEMO_PROJECT needs HOST')
  })

  it('keep heartbeats within the session', () => {
    expect(() => settle({ SESSION_TIMEOUT_MS: '6s', HEARTBEAT_INTERVAL_MS: '3s' })).toThrow('HEARTBEAT_INTERVAL_MS')
  })
})
