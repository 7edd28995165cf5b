// The declaration in topics.yaml: read, checked as a whole, and turned into the settings of one topic. Pure; creating
// topics is packages/operations/src/topics.ts.
import { AppError } from '@millrace/kernel'
import { parse } from 'yaml'
import { isProjectId, topicFamilies, topicPatterns } from './topic-names.ts'
import type { TopicFamily } from './topic-names.ts'

export const topicProfiles = ['local', 'production'] as const
export type TopicProfile = (typeof topicProfiles)[number]

/** When the topics of a family are created: per project, per listed group, or by the first feature that writes one. */
export type EnsureRule = 'project' | 'group' | 'demand'

export interface FamilyDeclaration {
  readonly name: string
  readonly ensure: EnsureRule
  /** Groups that have a topic of a `group` family; empty otherwise. */
  readonly groups: readonly string[]
  /** What the key of its records is, for people. */
  readonly key: string
  readonly partitions: Readonly<Record<TopicProfile, number>>
  readonly retentionMs: number
  /** Codec of producers. */
  readonly codec: 'none' | 'gzip' | 'zstd'
  readonly maxMessageBytes: number
}

export interface ProfileDeclaration {
  readonly replicationFactor: number
  readonly minInsyncReplicas: number
}

export interface TopicDeclaration {
  readonly profiles: Readonly<Record<TopicProfile, ProfileDeclaration>>
  readonly config: Readonly<Record<string, string>>
  readonly families: Readonly<Record<TopicFamily, FamilyDeclaration>>
  /** Partitions of the raw and processed topic of projects that have more than their family declares, by project id. */
  readonly grown: Readonly<Record<string, number>>
}

/** Settings of the topics of one family under one profile, as a broker takes them. */
export interface TopicSettings {
  readonly partitions: number
  readonly replicationFactor: number
  readonly config: Readonly<Record<string, string>>
}

/**
 * The declaration in the text of topics.yaml. Throws PIPE_CONFIG_INVALID that lists every problem with its path, one
 * line each.
 */
export function parseTopicDeclaration(yaml: string): TopicDeclaration {
  const problems: string[] = []
  const root = asObject(readYaml(yaml), 'topics.yaml', problems)
  const profiles = asObject(root['profiles'], 'profiles', problems)
  const families = asObject(root['families'], 'families', problems)
  unknownKeys(root, ['profiles', 'config', 'families', 'grown'], '', problems)
  unknownKeys(profiles, topicProfiles, 'profiles.', problems)
  unknownKeys(families, topicFamilies, 'families.', problems)
  const declaration: TopicDeclaration = {
    profiles: fromKeys(topicProfiles, (profile) => readProfile(profiles[profile], `profiles.${profile}`, problems)),
    config: readConfig(root['config'], problems),
    families: fromKeys(topicFamilies, (family) => readFamily(families[family], family, problems)),
    grown: readGrown(root['grown'], problems)
  }
  if (problems.length === 0) return declaration
  throw new AppError(
    'PIPE_CONFIG_INVALID',
    `topics.yaml has ${problems.length} problem(s):\n  ${problems.join('\n  ')}`
  )
}

/**
 * The text of topics.yaml with `partitions` for the raw and processed topic of `project`; comments and everything else
 * stay as they are. Throws PIPE_CONFIG_INVALID for a text that is no declaration.
 */
export function withGrown(yaml: string, project: string, partitions: number): string {
  const before = parseTopicDeclaration(yaml).grown
  const grown = Object.entries({ ...before, [project]: partitions }).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const lines = grown.map(([id, count]) => `  ${JSON.stringify(id)}: ${count}\n`).join('')
  const kept = yaml.replace(/^# Projects with more partitions[^\n]*\n|^grown:[^\n]*\n(?: +[^\n]*\n?)*/gm, '').trimEnd()
  return `${kept}\n\n# Projects with more partitions than their family declares, as \`millrace topics grow\` writes them.\ngrown:\n${lines}`
}

/** Families whose topics grow together: the processor keeps the partition number of an event. */
const growing: ReadonlySet<TopicFamily> = new Set(['raw', 'processed'])

/** The broker settings of a family's topics under `profile`; those of `project`, when it was grown. */
export function topicSettings(
  declaration: TopicDeclaration,
  profile: TopicProfile,
  family: TopicFamily,
  project?: string
): TopicSettings {
  const { partitions, retentionMs, maxMessageBytes } = declaration.families[family]
  const grown = growing.has(family) ? (declaration.grown[project ?? ''] ?? 0) : 0
  const { replicationFactor, minInsyncReplicas } = declaration.profiles[profile]
  return {
    partitions: Math.max(partitions[profile], grown),
    replicationFactor,
    config: {
      ...declaration.config,
      'retention.ms': String(retentionMs),
      'max.message.bytes': String(maxMessageBytes),
      'min.insync.replicas': String(minInsyncReplicas)
    }
  }
}

type Problems = string[]
type Fields = Readonly<Record<string, unknown>>

function readYaml(yaml: string): unknown {
  try {
    return parse(yaml)
  } catch (error) {
    throw new AppError('PIPE_CONFIG_INVALID', 'topics.yaml is not YAML', { cause: error })
  }
}

function readProfile(value: unknown, path: string, problems: Problems): ProfileDeclaration {
  const fields = asObject(value, path, problems)
  unknownKeys(fields, ['replicationFactor', 'minInsyncReplicas'], `${path}.`, problems)
  const replicationFactor = asCount(fields['replicationFactor'], `${path}.replicationFactor`, problems)
  const minInsyncReplicas = asCount(fields['minInsyncReplicas'], `${path}.minInsyncReplicas`, problems)
  if (minInsyncReplicas > replicationFactor) {
    problems.push(`${path}.minInsyncReplicas: ${minInsyncReplicas} is more than replicationFactor ${replicationFactor}`)
  }
  return { replicationFactor, minInsyncReplicas }
}

function readConfig(value: unknown, problems: Problems): Readonly<Record<string, string>> {
  const fields = asObject(value, 'config', problems)
  const config: Record<string, string> = {}
  for (const [key, setting] of Object.entries(fields)) {
    if (typeof setting === 'string') config[key] = setting
    else problems.push(`config.${key}: must be text, in quotes where YAML reads something else`)
  }
  return config
}

/** Without a prototype: a project may have the name of what every object has, such as `constructor`. */
function readGrown(value: unknown, problems: Problems): Readonly<Record<string, number>> {
  const grown = Object.create(null) as Record<string, number>
  if (value === undefined || value === null) return grown
  for (const [project, count] of Object.entries(asObject(value, 'grown', problems))) {
    if (!isProjectId(project)) problems.push(`grown.${project}: is no project id`)
    grown[project] = asCount(count, `grown.${project}`, problems)
  }
  return grown
}

const familyKeys = ['name', 'ensure', 'groups', 'key', 'partitions', 'retention', 'codec', 'maxMessageBytes']

function readFamily(value: unknown, family: TopicFamily, problems: Problems): FamilyDeclaration {
  const path = `families.${family}`
  const fields = asObject(value, path, problems)
  unknownKeys(fields, familyKeys, `${path}.`, problems)
  const pattern = topicPatterns[family]
  if (fields['name'] !== pattern) problems.push(`${path}.name: must be ${pattern}, as the code builds it`)
  const ensure = asOneOf(fields['ensure'], ['project', 'group', 'demand'] as const, `${path}.ensure`, problems)
  const counts = asObject(fields['partitions'], `${path}.partitions`, problems)
  unknownKeys(counts, topicProfiles, `${path}.partitions.`, problems)
  return {
    name: pattern,
    ensure,
    groups: readGroups(fields['groups'], ensure, `${path}.groups`, problems),
    key: typeof fields['key'] === 'string' ? fields['key'] : problem(problems, `${path}.key: must be text`, ''),
    partitions: fromKeys(topicProfiles, (profile) =>
      asCount(counts[profile], `${path}.partitions.${profile}`, problems)
    ),
    retentionMs: asAmount(fields['retention'], durations, `${path}.retention: must be such as 24h or 7d`, problems),
    codec: asOneOf(fields['codec'], ['none', 'gzip', 'zstd'] as const, `${path}.codec`, problems),
    maxMessageBytes: asAmount(
      fields['maxMessageBytes'],
      sizes,
      `${path}.maxMessageBytes: must be such as 1MiB`,
      problems
    )
  }
}

function readGroups(value: unknown, ensure: EnsureRule, path: string, problems: Problems): readonly string[] {
  if (ensure !== 'group') return value === undefined ? [] : problem(problems, `${path}: only with ensure: group`, [])
  const names = Array.isArray(value) ? value.filter((name): name is string => typeof name === 'string') : []
  const valid = Array.isArray(value) && names.length === value.length && names.length > 0
  return valid ? names : problem(problems, `${path}: must list at least one group`, [])
}

const durations: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const sizes: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2 }

function asAmount(value: unknown, units: Readonly<Record<string, number>>, rule: string, problems: Problems): number {
  const match = typeof value === 'string' ? /^(\d+)([A-Za-z]+)$/.exec(value) : null
  const unit = units[match?.[2] ?? '']
  const amount = Number(match?.[1] ?? 0) * (unit ?? 0)
  return amount > 0 ? amount : problem(problems, `${rule}, not ${JSON.stringify(value)}`, 0)
}

function asCount(value: unknown, path: string, problems: Problems): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value
  return problem(problems, `${path}: must be a whole number of at least 1, not ${JSON.stringify(value)}`, 1)
}

function asOneOf<const T extends string>(
  value: unknown,
  words: readonly [T, ...T[]],
  path: string,
  problems: Problems
): T {
  const found = words.find((word) => word === value)
  return (
    found ?? problem(problems, `${path}: must be one of ${words.join(', ')}, not ${JSON.stringify(value)}`, words[0])
  )
}

function asObject(value: unknown, path: string, problems: Problems): Fields {
  // The cast follows the check that it is a plain object; its values stay unknown.
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  return problem(problems, `${path}: must be a mapping`, {})
}

function unknownKeys(fields: Fields, known: readonly string[], prefix: string, problems: Problems): void {
  for (const key of Object.keys(fields)) if (!known.includes(key)) problems.push(`${prefix}${key}: unknown`)
}

function problem<T>(problems: Problems, text: string, stand: T): T {
  problems.push(text)
  return stand
}

function fromKeys<const K extends string, V>(keys: readonly K[], read: (key: K) => V): Readonly<Record<K, V>> {
  // Object.fromEntries loses the key type; every key of K is there.
  return Object.fromEntries(keys.map((key) => [key, read(key)])) as Record<K, V>
}
