import { describe, expect, it } from 'vitest'
import { load } from '@millrace/config'
import { archiverRules, archiverSpec, rangeLimits, spoolFolder } from './config.ts'

const required = {
  KAFKA_BROKERS: '127.0.0.1:9092',
  DATABASE_URL: 'postgres://127.0.0.1/app',
  OBJECT_STORE_URL: 'file:///archive'
}

describe('settings of the archiver', () => {
  it('has a default for everything but its dependencies', () => {
    const config = load(archiverSpec, required, archiverRules)
    expect(config.CONSUMER_GROUP).toBe('archive')
    expect(rangeLimits(config)).toEqual({
      fileBytes: 134_217_728,
      flushAfterMs: 900_000,
      smallBytes: 1_048_576,
      tailAfterMs: 3_600_000,
      totalBytes: 268_435_456
    })
    expect(spoolFolder(config.SPOOL_DIR)).toMatch(/millrace-archiver$/)
  })

  it('refuses a tail that is closed before a full file, and a store that it does not know', () => {
    expect(() => load(archiverSpec, { ...required, TAIL_AFTER_MS: '1m' }, archiverRules)).toThrow(/TAIL_AFTER_MS/)
    expect(() => load(archiverSpec, { ...required, OBJECT_STORE_URL: 'gs://x' }, archiverRules)).toThrow(
      /OBJECT_STORE_URL.*file:, s3:/
    )
  })
})
