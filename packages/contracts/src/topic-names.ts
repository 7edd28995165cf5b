// Names of topics and the way back: a topic's name is what says which project a record belongs to.
import { AppError } from '@millrace/kernel'

/** Families of topics by the name that code uses; topics.yaml declares each of them. */
export const topicPatterns = {
  raw: 'events.{project}',
  processed: 'events.processed.{project}',
  dlq: 'events.dlq.{project}',
  redrive: 'redrive.{group}',
  metrics: 'metrics.{metric}',
  sessions: 'sessions.{project}'
} as const

export type TopicFamily = keyof typeof topicPatterns

export const topicFamilies = Object.keys(topicPatterns) as readonly TopicFamily[]

/** Words that can never be a project: they are the second part of other families' names. */
export const reservedProjectIds: ReadonlySet<string> = new Set(['processed', 'dlq', 'overflow'])

const identifier = /^[a-z0-9][a-z0-9-]{0,38}$/

/** Whether `text` may name a project: 1 to 39 of `a-z 0-9 -`, not starting with `-`, not reserved. */
export function isProjectId(text: string): boolean {
  return identifier.test(text) && !reservedProjectIds.has(text)
}

/** `events.{project}`: the one log of a project. */
export function rawTopic(project: string): string {
  return `events.${project}`
}

/** `events.processed.{project}`: enriched events for other consumers. */
export function processedTopic(project: string): string {
  return `events.processed.${project}`
}

/** `events.dlq.{project}`: dead letters. */
export function dlqTopic(project: string): string {
  return `events.dlq.${project}`
}

/** `redrive.{group}`: letters that one group reads again. */
export function redriveTopic(group: string): string {
  return `redrive.${group}`
}

/** `metrics.{metric}`: values of a metric with revisions. */
export function metricsTopic(metric: string): string {
  return `metrics.${metric}`
}

/** `sessions.{project}`: closed sessions. */
export function sessionsTopic(project: string): string {
  return `sessions.${project}`
}

/** What a topic's name says: its family, and the project, group or metric in it. */
export interface ParsedTopic {
  readonly family: TopicFamily
  readonly parameter: string
}

/** Families of two fixed words before those of one: `events.dlq.x` is no raw topic. */
const prefixes: readonly (readonly [prefix: string, family: TopicFamily])[] = [
  ['events.processed.', 'processed'],
  ['events.dlq.', 'dlq'],
  ['events.', 'raw'],
  ['sessions.', 'sessions'],
  ['redrive.', 'redrive'],
  ['metrics.', 'metrics']
]

/** The family and parameter of a topic of ours; undefined for every other name. */
export function parseTopic(name: string): ParsedTopic | undefined {
  const found = prefixes.find(([prefix]) => name.startsWith(prefix))
  if (found === undefined) return undefined
  const [prefix, family] = found
  const parameter = name.slice(prefix.length)
  const ofProject = topicPatterns[family].endsWith('{project}')
  const valid = ofProject ? isProjectId(parameter) : /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/.test(parameter)
  return valid ? { family, parameter } : undefined
}

/** Whether `name` is `events.{project}` of a possible project. */
export function isRawTopic(name: string): boolean {
  return parseTopic(name)?.family === 'raw'
}

/** Picks the raw topics of `projects`; of every project when none is named. */
export function rawTopicsOf(projects: readonly string[]): (topic: string) => boolean {
  const wanted = new Set(projects.map(rawTopic))
  return (topic) => isRawTopic(topic) && (wanted.size === 0 || wanted.has(topic))
}

/** The project that a raw, processed, dead-letter or sessions topic belongs to; undefined for every other name. */
export function projectOfTopic(name: string): string | undefined {
  const parsed = parseTopic(name)
  return parsed !== undefined && topicPatterns[parsed.family].endsWith('{project}') ? parsed.parameter : undefined
}

/** The dead-letter topic of a raw topic. Throws PIPE_INVALID_INPUT for any other topic. */
export function letterTopic(topic: string): string {
  const parsed = parseTopic(topic)
  if (parsed?.family === 'raw') return dlqTopic(parsed.parameter)
  throw new AppError('PIPE_INVALID_INPUT', `${topic} is not the raw topic of a project, so it has no dead letters`)
}
