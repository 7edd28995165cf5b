// Topics of the declaration against the cluster. What to do is decided from values alone (planTopics, compareTopics);
// ensureTopics and diffTopics only read, decide and act.
import { readFile } from 'node:fs/promises'
import {
  dlqTopic,
  parseTopic,
  parseTopicDeclaration,
  processedTopic,
  projectOfTopic,
  rawTopic,
  redriveTopic,
  sessionsTopic,
  topicFamilies,
  topicSettings
} from '@millrace/contracts'
import type { TopicDeclaration, TopicFamily, TopicProfile } from '@millrace/contracts'
import type { Admin, TopicCreation, TopicDescription } from '@millrace/kafka'
import { AppError } from '@millrace/kernel'

/** topics.yaml at the root of the repository. */
export const topicsFile = new URL('../../../topics.yaml', import.meta.url)

/** One difference between a topic and its declaration. `blocking`: ensure refuses it; all others it reconciles. */
export interface TopicDifference {
  readonly topic: string
  readonly kind: 'missing' | 'fewer-partitions' | 'more-partitions' | 'replication' | 'config' | 'unknown-config'
  /** Name of the setting: `partitions`, `replicationFactor` or a topic configuration key. */
  readonly setting: string
  readonly declared: string | undefined
  readonly actual: string | undefined
  readonly blocking: boolean
}

export interface TopicsRequest {
  readonly admin: Omit<Admin, typeof Symbol.asyncDispose>
  readonly declaration: TopicDeclaration
  readonly profile: TopicProfile
  readonly projects: readonly string[]
}

/** What ensure did, by topic name. */
export interface EnsuredTopics {
  readonly created: readonly string[]
  readonly grown: readonly string[]
  readonly configured: readonly string[]
  readonly unchanged: readonly string[]
}

export interface ListedTopic extends TopicDescription {
  readonly family: TopicFamily
  /** The project, group or metric in its name. */
  readonly parameter: string
}

/** Reads and checks the declaration. Throws PIPE_CONFIG_INVALID with every problem in it. */
export async function loadTopicDeclaration(file: URL | string = topicsFile): Promise<TopicDeclaration> {
  return parseTopicDeclaration(await readFile(file, 'utf8'))
}

/** The declaration on a cluster of so many brokers: with enough of them local topics are replicated like those of production. */
export function declarationFor(declaration: TopicDeclaration, brokers: number): TopicDeclaration {
  const { production } = declaration.profiles
  if (brokers < production.replicationFactor) return declaration
  return { ...declaration, profiles: { ...declaration.profiles, local: production } }
}

const letterRoomBytes = 64 * 1024

/**
 * The topics that must exist for `projects`, in the order they are created. Throws PIPE_TOPIC_DRIFT when a dead letter
 * of the largest record, with its headers, would not fit into its topic.
 */
export function planTopics(
  declaration: TopicDeclaration,
  profile: TopicProfile,
  projects: readonly string[]
): readonly TopicCreation[] {
  refuseNarrowLetters(declaration)
  return topicFamilies.flatMap((family) =>
    topicsOf(family, declaration, projects).map((topic) => ({
      topic,
      ...topicSettings(declaration, profile, family, projectOfTopic(topic))
    }))
  )
}

/** Differences of the planned topics from what the cluster holds; topics outside the plan are not looked at. */
export function compareTopics(
  planned: readonly TopicCreation[],
  actual: readonly TopicDescription[]
): readonly TopicDifference[] {
  const byName = new Map(actual.map((description) => [description.topic, description]))
  return planned.flatMap((wanted) => {
    const found = byName.get(wanted.topic)
    return found === undefined ? [missing(wanted)] : compareTopic(wanted, found)
  })
}

/**
 * Creates and reconciles the topics of `projects`. Throws PIPE_TOPIC_DRIFT, before it changes anything, when a topic has
 * more partitions or another replication factor than declared, or a setting that the declaration does not know; the
 * message names both values.
 */
export async function ensureTopics(request: TopicsRequest): Promise<EnsuredTopics> {
  const { admin } = request
  const planned = planTopics(request.declaration, request.profile, request.projects)
  const differences = await diffTopics(request)
  const blocking = differences.filter((difference) => difference.blocking)
  if (blocking.length > 0) {
    const lines = blocking.map((difference) => `  ${describeDifference(difference)}`)
    throw new AppError(
      'PIPE_TOPIC_DRIFT',
      `${blocking.length} difference(s) cannot be reconciled:\n${lines.join('\n')}`
    )
  }
  const created = topicsWith(differences, 'missing')
  const grown = topicsWith(differences, 'fewer-partitions')
  const configured = topicsWith(differences, 'config')
  await admin.createTopics(planned.filter(({ topic }) => created.has(topic)))
  // Processed before raw: the processor writes an event under the partition number that it has in the raw topic.
  const isRaw = ({ topic }: TopicCreation): number => (parseTopic(topic)?.family === 'raw' ? 1 : 0)
  for (const { topic, partitions, config } of planned.toSorted((a, b) => isRaw(a) - isRaw(b))) {
    if (grown.has(topic)) await admin.growPartitions(topic, partitions)
    if (configured.has(topic)) await admin.alterTopicConfig(topic, config)
  }
  const touched = new Set([...created, ...grown, ...configured])
  return {
    created: [...created],
    grown: [...grown],
    configured: [...configured],
    unchanged: planned.map(({ topic }) => topic).filter((topic) => !touched.has(topic))
  }
}

/** How the cluster differs from the declaration for `projects`; empty when `ensureTopics` would change nothing. */
export async function diffTopics(request: TopicsRequest): Promise<readonly TopicDifference[]> {
  const { admin, declaration, profile, projects } = request
  const planned = planTopics(declaration, profile, projects)
  const existing = new Set(await admin.listTopics())
  const present = planned.map(({ topic }) => topic).filter((topic) => existing.has(topic))
  return compareTopics(planned, await admin.describeTopics(present))
}

/** Every topic of ours on the cluster, by name. */
export async function listTopics(admin: Pick<Admin, 'listTopics' | 'describeTopics'>): Promise<readonly ListedTopic[]> {
  const names = (await admin.listTopics()).filter((name) => parseTopic(name) !== undefined)
  const listed = (await admin.describeTopics(names)).flatMap((description) => {
    const parsed = parseTopic(description.topic)
    return parsed === undefined ? [] : [{ ...description, ...parsed }]
  })
  // The broker describes in an order of its own.
  return listed.toSorted((a, b) => (a.topic < b.topic ? -1 : 1))
}

/** One line for people: `events.demo: partitions is 2, declared 4`. */
export function describeDifference({ topic, kind, setting, declared, actual }: TopicDifference): string {
  if (kind === 'missing') return `${topic}: does not exist`
  return `${topic}: ${setting} is ${actual ?? 'not set'}, declared ${declared ?? 'nowhere'}`
}

function topicsOf(family: TopicFamily, { families }: TopicDeclaration, projects: readonly string[]): readonly string[] {
  const { ensure, groups } = families[family]
  if (ensure === 'demand') return []
  if (ensure === 'group') return groups.map(redriveTopic)
  return projects.map(nameOf(family))
}

function nameOf(family: TopicFamily): (project: string) => string {
  switch (family) {
    case 'raw':
      return rawTopic
    case 'processed':
      return processedTopic
    case 'dlq':
      return dlqTopic
    case 'sessions':
      return sessionsTopic
    case 'redrive':
    case 'metrics':
      throw new AppError('PIPE_CONFIG_INVALID', `families.${family}.ensure: its topics are not per project`)
  }
}

function refuseNarrowLetters({ families: { raw, dlq, redrive } }: TopicDeclaration): void {
  for (const [name, { maxMessageBytes }] of Object.entries({ dlq, redrive })) {
    if (maxMessageBytes >= raw.maxMessageBytes + letterRoomBytes) continue
    const text = `${name} takes ${maxMessageBytes} bytes, raw ${raw.maxMessageBytes}; a letter needs ${letterRoomBytes} more than its record`
    throw new AppError('PIPE_TOPIC_DRIFT', text)
  }
}

function missing({ topic, partitions }: TopicCreation): TopicDifference {
  const declared = String(partitions)
  return { topic, kind: 'missing', setting: 'partitions', declared, actual: undefined, blocking: false }
}

function compareTopic(wanted: TopicCreation, found: TopicDescription): readonly TopicDifference[] {
  const { topic } = wanted
  const differences: TopicDifference[] = []
  if (found.partitions !== wanted.partitions) {
    const more = found.partitions > wanted.partitions
    differences.push({
      topic,
      kind: more ? 'more-partitions' : 'fewer-partitions',
      setting: 'partitions',
      declared: String(wanted.partitions),
      actual: String(found.partitions),
      blocking: more
    })
  }
  if (found.replicationFactor !== wanted.replicationFactor) {
    const values = { declared: String(wanted.replicationFactor), actual: String(found.replicationFactor) }
    differences.push({ topic, kind: 'replication', setting: 'replicationFactor', ...values, blocking: true })
  }
  for (const [setting, declared] of Object.entries(wanted.config)) {
    const actual = found.config[setting]
    if (actual !== declared) differences.push({ topic, kind: 'config', setting, declared, actual, blocking: false })
  }
  for (const [setting, actual] of Object.entries(found.config)) {
    if (setting in wanted.config) continue
    differences.push({ topic, kind: 'unknown-config', setting, declared: undefined, actual, blocking: true })
  }
  return differences
}

function topicsWith(differences: readonly TopicDifference[], kind: TopicDifference['kind']): ReadonlySet<string> {
  return new Set(differences.filter((difference) => difference.kind === kind).map(({ topic }) => topic))
}
