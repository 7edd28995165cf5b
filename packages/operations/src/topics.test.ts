// What ensure would do about each kind of difference, and that it does nothing when one of them is blocking.
import { parseTopicDeclaration } from '@millrace/contracts'
import type { Admin, TopicDescription } from '@millrace/kafka'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  compareTopics,
  declarationFor,
  describeDifference,
  diffTopics,
  ensureTopics,
  listTopics,
  planTopics,
  topicsFile
} from './topics.ts'

const yaml = readFileSync(topicsFile, 'utf8')
const declaration = parseTopicDeclaration(yaml)
const planned = planTopics(declaration, 'local', ['demo'])
const asDeclared: readonly TopicDescription[] = planned

test('a project has three topics, each redriven group one, and topics on demand none', () => {
  expect(planned.map(({ topic, partitions }) => `${topic} ${partitions}`)).toEqual([
    'events.demo 4',
    'events.processed.demo 4',
    'events.dlq.demo 2',
    'redrive.process 1',
    'redrive.load 1',
    'redrive.record 1'
  ])
})

test('local topics get three copies where there are brokers for them, and keep their partitions', () => {
  const copies = (brokers: number) =>
    planTopics(declarationFor(declaration, brokers), 'local', ['demo'])
      .slice(0, 1)
      .map(({ partitions, replicationFactor, config }) => [
        partitions,
        replicationFactor,
        config['min.insync.replicas']
      ])
  expect(copies(1)).toEqual([[4, 1, '1']])
  expect(copies(3)).toEqual([[4, 3, '2']])
})

test('a cluster as declared has no difference', () => {
  expect(compareTopics(planned, asDeclared)).toEqual([])
})

const change = (topic: string, changed: Partial<TopicDescription>): readonly TopicDescription[] =>
  asDeclared.map((description) => (description.topic === topic ? { ...description, ...changed } : description))
const configOf = (topic: string) => asDeclared.find((description) => description.topic === topic)?.config ?? {}

test.each([
  ['fewer partitions', change('events.demo', { partitions: 2 }), 'events.demo: partitions is 2, declared 4', false],
  ['more partitions', change('events.demo', { partitions: 8 }), 'events.demo: partitions is 8, declared 4', true],
  [
    'other replication',
    change('events.demo', { replicationFactor: 3 }),
    'events.demo: replicationFactor is 3, declared 1',
    true
  ],
  [
    'another value',
    change('events.demo', { config: { ...configOf('events.demo'), 'retention.ms': '1' } }),
    'events.demo: retention.ms is 1, declared 604800000',
    false
  ],
  [
    'an unknown setting',
    change('events.demo', { config: { ...configOf('events.demo'), 'segment.ms': '9' } }),
    'events.demo: segment.ms is 9, declared nowhere',
    true
  ],
  ['an absent topic', asDeclared.filter(({ topic }) => topic !== 'redrive.load'), 'redrive.load: does not exist', false]
])('%s is one difference that names both values', (_name, actual, sentence, blocking) => {
  const differences = compareTopics(planned, actual)
  expect(differences.map((difference) => [describeDifference(difference), difference.blocking])).toEqual([
    [sentence, blocking]
  ])
})

test('a setting that was dropped is set again', () => {
  const [difference] = compareTopics(planned, change('events.demo', { config: {} })).filter(
    ({ setting }) => setting === 'retention.ms'
  )
  expect(difference).toMatchObject({ kind: 'config', declared: '604800000', actual: undefined, blocking: false })
})

test('letters that a largest record would not fit into are refused with both sizes', () => {
  const narrow = parseTopicDeclaration(yaml.replace('maxMessageBytes: 2MiB', 'maxMessageBytes: 1MiB'))
  expect(() => planTopics(narrow, 'local', [])).toThrow(
    'dlq takes 1048576 bytes, raw 1048576; a letter needs 65536 more'
  )
})

test('ensure creates, grows and configures what differs and leaves the rest alone', async () => {
  const existing = change('events.demo', { partitions: 2, config: {} }).filter(
    ({ topic }) => topic !== 'events.dlq.demo'
  )
  const { admin, done } = recordingAdmin(existing)
  const ensured = await ensureTopics({ admin, declaration, profile: 'local', projects: ['demo'] })
  expect(ensured).toEqual({
    created: ['events.dlq.demo'],
    grown: ['events.demo'],
    configured: ['events.demo'],
    unchanged: ['events.processed.demo', 'redrive.process', 'redrive.load', 'redrive.record']
  })
  expect(done).toEqual(['create events.dlq.demo 2', 'grow events.demo 4', 'alter events.demo 7'])
})

test('ensure changes nothing when one difference is blocking', async () => {
  const { admin, done } = recordingAdmin(change('events.demo', { partitions: 8 }).slice(0, 1))
  const request = { admin, declaration, profile: 'local', projects: ['demo'] } as const
  await expect(ensureTopics(request)).rejects.toMatchObject({ code: 'PIPE_TOPIC_DRIFT' })
  await expect(ensureTopics(request)).rejects.toThrow('events.demo: partitions is 8, declared 4')
  expect(done).toEqual([])
  expect((await diffTopics(request)).map(({ kind }) => kind)).toEqual(['more-partitions', ...Array(5).fill('missing')])
})

test('list names our topics with their family and leaves out all others', async () => {
  const foreign = { topic: '__consumer_offsets', partitions: 10, replicationFactor: 1, config: {} }
  const { admin } = recordingAdmin([...asDeclared, foreign])
  const listed = await listTopics(admin)
  expect(listed.map(({ topic, family, parameter }) => [topic, family, parameter])).toEqual([
    ['events.demo', 'raw', 'demo'],
    ['events.dlq.demo', 'dlq', 'demo'],
    ['events.processed.demo', 'processed', 'demo'],
    ['redrive.load', 'redrive', 'load'],
    ['redrive.process', 'redrive', 'process'],
    ['redrive.record', 'redrive', 'record']
  ])
})

function recordingAdmin(existing: readonly TopicDescription[]): { admin: Admin; done: string[] } {
  const done: string[] = []
  const unused = async (): Promise<never> => {
    throw new Error('not part of this test')
  }
  const admin: Admin = {
    listTopics: async () => existing.map(({ topic }) => topic),
    describeTopics: async (topics) => topics.flatMap((name) => existing.find(({ topic }) => topic === name) ?? []),
    createTopics: async (topics) =>
      void done.push(...topics.map(({ topic, partitions }) => `create ${topic} ${partitions}`)),
    growPartitions: async (topic, count) => void done.push(`grow ${topic} ${count}`),
    alterTopicConfig: async (topic, config) => void done.push(`alter ${topic} ${Object.keys(config).length}`),
    deleteTopics: unused,
    ranges: unused,
    offsetsAt: unused,
    groupOffsets: unused,
    setGroupOffsets: unused,
    brokerCount: unused,
    [Symbol.asyncDispose]: async () => undefined
  }
  return { admin, done }
}
