import { describe, expect, it } from 'vitest'
import { load } from '@millrace/config'
import { aggregatorRules, aggregatorSpec } from './config.ts'
import { flushPolicyOf, timingOf } from './settings.ts'

const required = {
  KAFKA_BROKERS: '127.0.0.1:9092',
  DATABASE_URL: 'postgres://127.0.0.1/app',
  REDIS_STATE_URL: 'redis://127.0.0.1:6379/0'
}

describe('settings of the aggregator', () => {
  it('have a default for everything but its dependencies', () => {
    const config = load(aggregatorSpec, required, aggregatorRules)
    expect(config).toMatchObject({ CONSUMER_GROUP: 'aggregate', PORT: 4012, PROJECTS: [] })
    expect(timingOf(config)).toMatchObject({ latenessMs: 600_000, sessionIdleMs: 1_800_000, marginMs: 5_000 })
    expect(flushPolicyOf(config)).toMatchObject({ maxRows: 5_000, maxAgeMs: 50, behindAgeMs: 2_000, scope: 'lane' })
  })

  it('refuse heartbeats that are too rare for the session', () => {
    const env = { ...required, SESSION_TIMEOUT_MS: '6s', HEARTBEAT_INTERVAL_MS: '2001' }
    expect(() => load(aggregatorSpec, env, aggregatorRules)).toThrow('at most a third of SESSION_TIMEOUT_MS')
  })
})
