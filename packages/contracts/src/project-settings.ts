// What the owner of a project may set, as the column `projects.settings` keeps it: declared once, read by every service,
// changed by name. A value that breaks its rule counts as unset, so that a typing error cannot stop a project.

import { parseDropRules } from './drop-rules.ts'
import type { DropRule } from './drop-rules.ts'

/** `eventId` spreads events evenly; `eventType:eventId` does so, too, and lets a consumer tell the type from the key. */
export const keyTemplates = ['eventId', 'eventType:eventId'] as const
export type KeyTemplate = (typeof keyTemplates)[number]

/** A token bucket: it fills with `eventsPerSecond` tokens a second up to `burst`, and an event takes one. */
export interface EventRate {
  readonly eventsPerSecond: number
  readonly burst: number
}

export interface ProjectLimits {
  /** All events of the project together; unset: the default of the deployment. */
  readonly project?: EventRate
  /** Events of each event type; unset: no limit. */
  readonly perEventType?: EventRate
  /** Events of each user id; unset: no limit. */
  readonly perUser?: EventRate
}

export interface ProjectSettings {
  /** What the Kafka key of an event is made of. */
  readonly keyTemplate: KeyTemplate
  /** Origins whose pages may send events, or `*`; empty: the deployment decides. */
  readonly corsOrigins: readonly string[]
  readonly limits: ProjectLimits
  /** The live feed shows user and session ids, addresses of pages and properties; unset: it does not. */
  readonly personalInFeed?: true
  /** Days that the warehouse keeps an event, by its event time; unset: for good. */
  readonly warehouseRetentionDays?: number
  /** What an operator has dropped at the edge (drop-rules.ts, `millrace drops`); unset: nothing. */
  readonly drops?: readonly DropRule[]
}

/** A project as a request sees it, from its key. */
export interface ProjectContext {
  readonly projectId: string
  /** Counts up when the topics of the project are made anew. */
  readonly logGeneration: number
  readonly settings: ProjectSettings
}

/** Settings of a project that has set nothing. */
export const defaultProjectSettings: ProjectSettings = { keyTemplate: 'eventId', corsOrigins: [], limits: {} }

interface SettingField {
  readonly doc: string
  /** What is wrong with a stored value, or undefined. */
  problem(value: unknown): string | undefined
  /** The stored form of what a person wrote. */
  fromText(text: string): unknown
}

const maxOrigins = 100
const maxRate = 1_000_000_000
/** A time in seconds has 32 bits in a TTL: past 2106 it begins anew, and everything would be expired. */
const maxRetentionDays = 10_000

const rate: SettingField = {
  doc: 'events per second, above 0',
  problem: (value) =>
    typeof value === 'number' && value > 0 && value <= maxRate ? undefined : `must be a number above 0, to ${maxRate}`,
  fromText: toNumber
}
const burst: SettingField = {
  doc: 'events at once, from 1; twice the rate when unset',
  problem: (value) =>
    Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= maxRate
      ? undefined
      : `must be a whole number from 1 to ${maxRate}`,
  fromText: toNumber
}

/** Every setting by its name. */
export const projectSettingFields = {
  keyTemplate: {
    doc: keyTemplates.join(' or '),
    problem: (value) =>
      keyTemplates.some((each) => each === value) ? undefined : `must be ${keyTemplates.join(' or ')}`,
    fromText: (text) => text
  },
  corsOrigins: {
    doc: 'comma-separated origins such as https://shop.example, or *',
    problem: (value) =>
      Array.isArray(value) && value.length <= maxOrigins && value.every(isOrigin)
        ? undefined
        : `must be at most ${maxOrigins} origins such as https://shop.example, or *`,
    fromText: (text) => text.split(',').map((word) => word.trim())
  },
  personalInFeed: {
    doc: 'true or false: whether the live feed shows user and session ids, addresses of pages and properties',
    problem: (value) => (typeof value === 'boolean' ? undefined : 'must be true or false'),
    fromText: (text) => (text === 'true' || text === 'false' ? text === 'true' : text)
  },
  warehouseRetentionDays: {
    doc: 'days that the warehouse keeps an event, 1 to 10000, by its event time; unset: for good',
    problem: (value) =>
      Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= maxRetentionDays
        ? undefined
        : `must be a whole number from 1 to ${maxRetentionDays}`,
    fromText: toNumber
  },
  'limits.project.eventsPerSecond': rate,
  'limits.project.burst': burst,
  'limits.perEventType.eventsPerSecond': rate,
  'limits.perEventType.burst': burst,
  'limits.perUser.eventsPerSecond': rate,
  'limits.perUser.burst': burst
} as const satisfies Record<string, SettingField>

/** The name of a setting. */
export type ProjectSettingName = keyof typeof projectSettingFields

const names = Object.keys(projectSettingFields) as ProjectSettingName[]

/** The settings in `stored`, and a sentence for each value that breaks its rule and is left out. Never throws. */
export function parseProjectSettings(stored: unknown): {
  readonly settings: ProjectSettings
  readonly problems: readonly string[]
} {
  const problems: string[] = []
  const read = (name: ProjectSettingName): unknown => {
    const value = valueAt(stored, name.split('.'))
    if (value === undefined || value === null) return undefined
    const problem = projectSettingFields[name].problem(value)
    if (problem !== undefined) problems.push(`${name} ${problem}`)
    return problem === undefined ? value : undefined
  }
  const readRate = (group: keyof ProjectLimits): EventRate | undefined => {
    const eventsPerSecond = read(`limits.${group}.eventsPerSecond`) as number | undefined
    const most = read(`limits.${group}.burst`) as number | undefined
    if (eventsPerSecond !== undefined) {
      return { eventsPerSecond, burst: most ?? Math.max(1, Math.ceil(eventsPerSecond * 2)) }
    }
    if (most !== undefined) problems.push(`limits.${group}.burst needs limits.${group}.eventsPerSecond`)
    return undefined
  }
  const limits: { -readonly [K in keyof ProjectLimits]: ProjectLimits[K] } = {}
  for (const group of ['project', 'perEventType', 'perUser'] as const) {
    const found = readRate(group)
    if (found !== undefined) limits[group] = found
  }
  const retentionDays = read('warehouseRetentionDays') as number | undefined
  const drops = parseDropRules(valueAt(stored, ['drops']))
  problems.push(...drops.problems)
  const settings = {
    keyTemplate: (read('keyTemplate') as KeyTemplate | undefined) ?? defaultProjectSettings.keyTemplate,
    corsOrigins: (read('corsOrigins') as string[] | undefined) ?? defaultProjectSettings.corsOrigins,
    limits,
    ...(read('personalInFeed') === true ? ({ personalInFeed: true } as const) : {}),
    ...(retentionDays === undefined ? {} : { warehouseRetentionDays: retentionDays }),
    ...(drops.rules.length === 0 ? {} : { drops: drops.rules })
  }
  return { settings, problems }
}

/**
 * `stored` with `changes` applied, each a name and what a person wrote for it; an empty text takes the setting away.
 * What is stored under other names stays. `problems` says what is wrong; `stored` is then not to be written.
 */
export function changeProjectSettings(
  stored: unknown,
  changes: readonly (readonly [name: string, text: string])[]
): { readonly stored: Readonly<Record<string, unknown>>; readonly problems: readonly string[] } {
  let next = toRecord(stored)
  const problems: string[] = []
  for (const [name, text] of changes) {
    if (!isSettingName(name)) {
      problems.push(`there is no setting '${name}'; the settings are ${names.join(', ')}`)
      continue
    }
    const value = text === '' ? undefined : projectSettingFields[name].fromText(text)
    const problem = value === undefined ? undefined : projectSettingFields[name].problem(value)
    if (problem === undefined) next = withValueAt(next, name.split('.'), value)
    else problems.push(`${name} ${problem}, not '${text}'`)
  }
  if (problems.length === 0) problems.push(...parseProjectSettings(next).problems)
  return { stored: next, problems }
}

function isSettingName(name: string): name is ProjectSettingName {
  return Object.hasOwn(projectSettingFields, name)
}

function isOrigin(value: unknown): boolean {
  if (value === '*') return true
  if (typeof value !== 'string' || !URL.canParse(value)) return false
  const { origin, protocol } = new URL(value)
  return (protocol === 'http:' || protocol === 'https:') && origin === value
}

function toNumber(text: string): number {
  return text.trim() === '' ? Number.NaN : Number(text)
}

function toRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce((inner, key) => toRecord(inner)[key], value)
}

/** A copy of `record` with `value` at `path`; undefined removes it, and with it each record that is empty then. */
function withValueAt(
  record: Readonly<Record<string, unknown>>,
  [key = '', ...rest]: readonly string[],
  value: unknown
): Readonly<Record<string, unknown>> {
  const inner = rest.length === 0 ? value : withValueAt(toRecord(record[key]), rest, value)
  const { [key]: _old, ...others } = record
  const empty = inner === undefined || (rest.length > 0 && Object.keys(toRecord(inner)).length === 0)
  return empty ? others : { ...others, [key]: inner }
}
