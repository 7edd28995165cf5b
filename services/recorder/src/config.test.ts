import { describe, expect, it } from 'vitest'
import { load } from '@millrace/config'
import { recorderRules, recorderSpec } from './config.ts'

const required = { KAFKA_BROKERS: '127.0.0.1:9092', DATABASE_URL: 'postgres://127.0.0.1/app' }

describe('settings of the recorder', () => {
  it('has a default for everything but its dependencies', () => {
    const config = load(recorderSpec, required, recorderRules)
    expect(config).toMatchObject({ CONSUMER_GROUP: 'record', RETENTION_DAYS: 90, METADATA: 'properties' })
  })

  it('names the policies it knows for metadata', () => {
    expect(() => load(recorderSpec, { ...required, METADATA: 'all' })).toThrow(/METADATA.*properties, full, none/)
  })
})
