// What an operator has the gateway turn away: events of a type, of a user or of a device. The last rung of the ladder against a key that
// floods a project; kept with the settings of the project, so that every gateway follows within a minute.
import type { ClientEvent } from './event.ts'

/** The field that a rule looks at. */
export const dropKinds = ['eventType', 'userId', 'anonymousId'] as const
export type DropKind = (typeof dropKinds)[number]

export interface DropRule {
  readonly kind: DropKind
  /** The whole value; there are no patterns. */
  readonly key: string
  /** Why, for people. */
  readonly reason: string
  /** Who made it, as in the audit log. */
  readonly by: string
  /** ISO 8601. */
  readonly since: string
}

/** Rules of one project at most: more is a job for a limit, or for the key of the client. */
export const maxDropRules = 100
const maxKeyLength = 255

/** The rules in a stored value; what is wrong with others, which are left out: a typing error must not drop events. */
export function parseDropRules(stored: unknown): {
  readonly rules: readonly DropRule[]
  readonly problems: readonly string[]
} {
  if (stored === undefined || stored === null) return { rules: [], problems: [] }
  if (!Array.isArray(stored)) return { rules: [], problems: ['drops must be a list of rules'] }
  const rules: DropRule[] = []
  const problems: string[] = []
  for (const value of stored.slice(0, maxDropRules) as readonly unknown[]) {
    const rule = toRule(value)
    if (typeof rule === 'string') problems.push(`drops: ${rule}`)
    else rules.push(rule)
  }
  if (stored.length > maxDropRules) problems.push(`drops must be at most ${maxDropRules} rules`)
  return { rules, problems }
}

/** What is wrong with a rule for `kind` and `key`; undefined for nothing. */
export function dropRuleProblem(kind: unknown, key: unknown): string | undefined {
  if (!dropKinds.some((each) => each === kind)) return `kind must be ${dropKinds.join(', ')}`
  if (typeof key === 'string' && key.length >= 1 && key.length <= maxKeyLength) return undefined
  return `key must be a text of 1 to ${maxKeyLength} characters`
}

/** Decides whether an event is dropped, and by which kind of rule; made once for a set of rules. */
export function createDropMatcher(
  rules: readonly DropRule[]
): (event: Pick<ClientEvent, 'eventType' | 'userId' | 'anonymousId'>) => DropKind | undefined {
  const keysOf = (kind: DropKind): ReadonlySet<string> =>
    new Set(rules.filter((rule) => rule.kind === kind).map(({ key }) => key))
  const [types, users, devices] = [keysOf('eventType'), keysOf('userId'), keysOf('anonymousId')]
  return ({ eventType, userId, anonymousId }) => {
    if (types.has(eventType)) return 'eventType'
    if (userId !== undefined && users.has(userId)) return 'userId'
    return anonymousId !== undefined && devices.has(anonymousId) ? 'anonymousId' : undefined
  }
}

function toRule(value: unknown): DropRule | string {
  if (typeof value !== 'object' || value === null) return 'a rule must be an object'
  const { kind, key, reason, by, since } = value as Readonly<Record<string, unknown>>
  const problem = dropRuleProblem(kind, key)
  if (problem !== undefined) return problem
  const text = (each: unknown): string => (typeof each === 'string' ? each : '')
  return { kind: kind as DropKind, key: text(key), reason: text(reason), by: text(by), since: text(since) }
}
