// The declaration of topics and their names: what is accepted, what is refused, and with which words.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  dlqTopic,
  isProjectId,
  isRawTopic,
  metricsTopic,
  parseTopic,
  processedTopic,
  projectOfTopic,
  rawTopic,
  redriveTopic,
  sessionsTopic
} from './topic-names.ts'
import { parseTopicDeclaration, topicSettings, withGrown } from './topics.ts'

const yaml = readFileSync(new URL('../../../topics.yaml', import.meta.url), 'utf8')

test('the names that are built are the names that are read back', () => {
  expect(parseTopic(rawTopic('shop'))).toEqual({ family: 'raw', parameter: 'shop' })
  expect(parseTopic(processedTopic('shop'))).toEqual({ family: 'processed', parameter: 'shop' })
  expect(parseTopic(dlqTopic('shop'))).toEqual({ family: 'dlq', parameter: 'shop' })
  expect(parseTopic(redriveTopic('load'))).toEqual({ family: 'redrive', parameter: 'load' })
  expect(parseTopic(metricsTopic('revenue'))).toEqual({ family: 'metrics', parameter: 'revenue' })
  expect(parseTopic(sessionsTopic('shop'))).toEqual({ family: 'sessions', parameter: 'shop' })
})

test('a topic of no family has no project', () => {
  const foreign = ['events', 'events.', 'events.a.b', 'events.processed', 'events.dlq', 'events.Shop', 'other.shop', '']
  for (const name of foreign)
    expect([name, parseTopic(name), projectOfTopic(name)]).toEqual([name, undefined, undefined])
})

test('only the log of a project is a raw topic', () => {
  expect(['events.shop', 'events.dlq.shop', 'events.processed.shop', 'sessions.shop'].map(isRawTopic)).toEqual([
    true,
    false,
    false,
    false
  ])
  expect(
    ['events.shop', 'events.dlq.shop', 'sessions.shop', 'redrive.load', 'metrics.shop'].map(projectOfTopic)
  ).toEqual(['shop', 'shop', 'shop', undefined, undefined])
})

test('a project id is 1 to 39 lower-case letters, digits and dashes, and no second part of another family', () => {
  expect(['a', '0', 'a-b', 'a'.repeat(39)].filter((id) => !isProjectId(id))).toEqual([])
  const refused = ['', '-a', 'A', 'a_b', 'a.b', 'a'.repeat(40), 'processed', 'dlq', 'overflow', 'a\n']
  expect(refused.filter(isProjectId)).toEqual([])
})

test('topics.yaml is valid and gives the settings of the local and the production profile', () => {
  const declaration = parseTopicDeclaration(yaml)
  expect(topicSettings(declaration, 'production', 'raw')).toEqual({
    partitions: 100,
    replicationFactor: 3,
    config: {
      'cleanup.policy': 'delete',
      'compression.type': 'producer',
      'message.timestamp.type': 'LogAppendTime',
      'unclean.leader.election.enable': 'false',
      'retention.ms': '604800000',
      'max.message.bytes': '1048576',
      'min.insync.replicas': '2'
    }
  })
  const local = topicSettings(declaration, 'local', 'dlq')
  expect([local.partitions, local.replicationFactor]).toEqual([2, 1])
  expect(local.config).toMatchObject({ 'max.message.bytes': '2097152', 'retention.ms': '2592000000' })
  expect(declaration.families.redrive.groups).toEqual(['process', 'load', 'record'])
})

test.each([
  [
    'partitions: { local: 4, production: 100 }',
    'partitions: { local: 0, production: 100 }',
    'families.raw.partitions.local: must be a whole number of at least 1, not 0'
  ],
  ['retention: 7d', 'retention: 7 days', 'families.raw.retention: must be such as 24h or 7d, not "7 days"'],
  [
    'maxMessageBytes: 1MiB',
    'maxMessageBytes: 1048576',
    'families.raw.maxMessageBytes: must be such as 1MiB, not 1048576'
  ],
  [
    'name: events.{project}',
    'name: raw.{project}',
    'families.raw.name: must be events.{project}, as the code builds it'
  ],
  ['ensure: project\n', 'ensure: always\n', 'families.raw.ensure: must be one of project, group, demand, not "always"'],
  ['key: eventId', 'kee: eventId', 'families.raw.kee: unknown'],
  ['groups: [process, load, record]', 'groups: []', 'families.redrive.groups: must list at least one group'],
  [
    'minInsyncReplicas: 2',
    'minInsyncReplicas: 4',
    'profiles.production.minInsyncReplicas: 4 is more than replicationFactor 3'
  ],
  [
    "enable: 'false'",
    'enable: false',
    'config.unclean.leader.election.enable: must be text, in quotes where YAML reads something else'
  ],
  ['  sessions:', '  session:', 'families.session: unknown']
])('%s written as %s is named with its path', (good, bad, sentence) => {
  expect(yaml).toContain(good)
  expect(() => parseTopicDeclaration(yaml.replace(good, bad))).toThrow(sentence)
})

test('all problems are reported at once', () => {
  const broken = yaml.replace('retention: 7d', 'retention: long').replace('codec: gzip', 'codec: rar')
  expect(() => parseTopicDeclaration(broken)).toThrow('topics.yaml has 2 problem(s)')
  expect(() => parseTopicDeclaration('- a')).toThrow('topics.yaml: must be a mapping')
  expect(() => parseTopicDeclaration('a: [')).toThrow('topics.yaml is not YAML')
})

test('a project that was grown has more raw and processed partitions, and nothing else of it changes', () => {
  const grown = parseTopicDeclaration(withGrown(yaml, 'shop', 8))
  const counts = (families: readonly ('raw' | 'processed' | 'dlq')[], project: string) =>
    families.map((family) => topicSettings(grown, 'local', family, project).partitions)
  expect(counts(['raw', 'processed', 'dlq'], 'shop')).toEqual([8, 8, 2])
  expect(counts(['raw', 'processed'], 'other')).toEqual([4, 4])
  expect(counts(['raw', 'processed'], 'constructor')).toEqual([4, 4])
  // Of production the family declares more than that.
  expect(topicSettings(grown, 'production', 'raw', 'shop').partitions).toBe(100)
  expect({ ...grown, grown: {} }).toEqual({ ...parseTopicDeclaration(yaml), grown: {} })
})

test('growing keeps every other line of the text, comments too, and can be done again', () => {
  const once = withGrown(yaml, 'shop', 8)
  expect(once.startsWith(yaml.trimEnd())).toBe(true)
  const twice = withGrown(withGrown(once, 'app', 16), 'shop', 12)
  expect(twice.startsWith(yaml.trimEnd())).toBe(true)
  expect(parseTopicDeclaration(twice).grown).toEqual({ app: 16, shop: 12 })
  expect(twice.match(/^grown:/gm)).toHaveLength(1)
  expect(parseTopicDeclaration(withGrown(`${yaml}\ngrown: { shop: 6 }\n`, 'app', 5)).grown).toEqual({ app: 5, shop: 6 })
})

test('grown names projects and whole numbers', () => {
  expect(() => parseTopicDeclaration(`${yaml}\ngrown: { Shop: 8, app: 0 }\n`)).toThrow(
    /grown\.Shop: is no project id[\s\S]*grown\.app: must be a whole number/
  )
})
