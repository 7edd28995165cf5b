import { expect, test } from 'vitest'
import { topicSettings } from '@millrace/contracts'
import type { TopicDescription } from '@millrace/kafka'
import { loadTopicDeclaration } from '../topics.ts'
import { judgeDisk } from './check-disks.ts'
import { checkSettings } from './check-settings.ts'
import type { KnownSettings } from './check-settings.ts'
import { checkTopics } from './check-topics.ts'

const gib = 1024 ** 3

test.each([
  [500, 'ok'],
  [140, 'warning'],
  [40, 'failure']
] as const)('a disk of 1000 GiB with %i free is %s', (free, status) => {
  expect(judgeDisk({ name: 'data', free: free * gib, total: 1000 * gib })).toMatchObject({ subject: 'data', status })
})

const found = (settings: KnownSettings): readonly string[] =>
  checkSettings(settings).flatMap(({ status, subject }) => (status === 'ok' ? [] : [`${status} ${subject}`]))

test.each<[what: string, settings: KnownSettings, findings: readonly string[]]>([
  ['a stack of one machine, without passwords', { REDIS_STATE_URL: 'redis://127.0.0.1:6379/0' }, []],
  ['a file and a bucket', { OBJECT_STORE_URL: 's3://bucket/prefix' }, []],
  ['a good password inside of a network', { DATABASE_URL: 'postgres://m:Zr9xQ2@pgbouncer:6432/m' }, []],
  [
    'a password that everybody tries',
    { DATABASE_URL: 'postgres://m:Postgres@pgbouncer:6432/m' },
    ['failure DATABASE_URL']
  ],
  ['no password', { CLICKHOUSE_URL: 'http://clickhouse:8123/app' }, ['failure CLICKHOUSE_URL']],
  ['several hosts', { REDIS_STATE_URL: 'redis+sentinel://:k3yK3y@a:26379,b:26379/state' }, []],
  [
    'an open way to another network',
    { CLICKHOUSE_URL: 'http://m:Zr9xQ2@ch.example.com:8123/app' },
    ['warning CLICKHOUSE_URL']
  ],
  ['TLS to another network', { CLICKHOUSE_URL: 'https://m:Zr9xQ2@ch.example.com:8443/app' }, []],
  ['a private address', { REDIS_CACHE_URL: 'redis://:Zr9xQ2@10.1.2.3:6379/0' }, []],
  ['Kafka in the open', { KAFKA_BROKERS: 'kafka.example.com:9092' }, ['warning KAFKA_SSL']],
  ['Kafka with TLS', { KAFKA_BROKERS: 'kafka.example.com:9093', KAFKA_SSL: 'true' }, []],
  ['Kafka of a cluster', { KAFKA_BROKERS: 'kafka.kafka.svc.cluster.local:9092' }, []],
  ['a short token', { ADMIN_TOKEN: 'abc' }, ['failure ADMIN_TOKEN']],
  ['a token of one letter', { ADMIN_TOKEN: 'aaaaaaaaaaaaaaaaaaaaaaaa' }, ['failure ADMIN_TOKEN']],
  ['a good token', { ADMIN_TOKEN: '8c1f0d2e9b7a6c5d4e3f2a1b' }, []]
])('settings: %s', (_what, settings, findings) => {
  expect(found(settings)).toEqual(findings)
})

test('settings: no finding quotes a secret', () => {
  const settings = { ADMIN_TOKEN: 'hunter2', DATABASE_URL: 'postgres://m:postgres@db:5432/m' }
  expect(JSON.stringify(checkSettings(settings))).not.toMatch(/hunter2|postgres:postgres|m:postgres/)
})

test.each<[inSync: number, least: string, findings: readonly string[]]>([
  [3, '2', []],
  [2, '2', ['warning 2 of 3 copies of a partition are in sync']],
  [1, '2', ['failure 1 of 3 copies of a partition are in sync, 2 have to be: nothing is taken']],
  [3, '1', ['failure 3 copies, but one may acknowledge alone (min.insync.replicas 1)']],
  [3, '3', ['failure 3 copies, and min.insync.replicas is 3: one broker less stops writing']]
])('topics: %i of three copies in sync where %s have to be', async (inSync, least, findings) => {
  const declared = await loadTopicDeclaration()
  const production = { replicationFactor: 3, minInsyncReplicas: Number(least) }
  const declaration = { ...declared, profiles: { ...declared.profiles, production } }
  const described: TopicDescription[] = ['process', 'load', 'record'].map((group) => {
    return { topic: `redrive.${group}`, inSync: 3, ...topicSettings(declaration, 'production', 'redrive') }
  })
  const [first, ...others] = described
  const admin = {
    listTopics: async () => described.map(({ topic }) => topic),
    describeTopics: async () => [{ ...first, inSync } as TopicDescription, ...others]
  }
  const lag = async () => ({ rows: [], leaderless: [], unknown: [] })
  const found = await checkTopics({ admin, declaration, profile: 'production', projects: async () => [], lag })
  const ofFirst = found.filter(({ subject, status }) => subject === first?.topic && status !== 'ok')
  expect(ofFirst.map(({ status, detail }) => `${status} ${detail}`)).toEqual(findings)
})
