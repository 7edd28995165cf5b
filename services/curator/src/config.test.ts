import { expect, it } from 'vitest'
import { load } from '@millrace/config'
import { curatorSpec } from './config.ts'

it('the curator has a default for everything but its dependencies', () => {
  const required = {
    KAFKA_BROKERS: '127.0.0.1:9092',
    CLICKHOUSE_URL: 'http://127.0.0.1:8123/app',
    DATABASE_URL: 'postgres://127.0.0.1/app'
  }
  expect(load(curatorSpec, required)).toMatchObject({
    LOADER_GROUP: 'load',
    PROJECTS: [],
    CONVERSION_TYPES: ['purchase']
  })
})
