import { describe, expect, it } from 'vitest'
import { load } from '@millrace/config'
import { processorRules, processorSpec } from './config.ts'

const required = { KAFKA_BROKERS: '127.0.0.1:9092', DATABASE_URL: 'postgres://127.0.0.1/app' }

describe('settings of the processor', () => {
  it('has a default for everything but its dependencies', () => {
    expect(load(processorSpec, required, processorRules)).toMatchObject({ CONSUMER_GROUP: 'process', PROJECTS: [] })
  })

  it('refuses heartbeats that are too rare for the session', () => {
    const env = { ...required, SESSION_TIMEOUT_MS: '6s', HEARTBEAT_INTERVAL_MS: '2001' }
    expect(() => load(processorSpec, env, processorRules)).toThrow('at most a third of SESSION_TIMEOUT_MS')
  })

  it('reports every wrong setting at once', () => {
    expect(() => load(processorSpec, { PORT: 'x', BATCH_SIZE: '0' })).toThrow(/PORT[^]*KAFKA_BROKERS[^]*BATCH_SIZE/)
  })
})
