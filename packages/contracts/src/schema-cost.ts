// What the check of one event against a schema may cost at worst, added up part by part while the schema is inspected. Steps
// are about a nanosecond each, measured over the largest events there are; what a part costs is counted as often as the
// elements and keys of one event can lead to it.

/** An event of the default size holds this many elements at most, and a text this many characters. */
const mostElements = 131_072
const mostCharacters = 262_144
/** Keys of all objects of an event together. */
const mostKeys = 1_000

/** Steps of one check at most: some milliseconds, during which no other request is served. */
export const mostSteps = 6_000_000

/** Keywords under which a part is visited once per element. */
const byElement: ReadonlySet<string> = new Set(['items', 'contains', 'unevaluatedItems'])
/** Keywords under which a part is visited once per key. */
const byKey: ReadonlySet<string> = new Set([
  'additionalProperties',
  'unevaluatedProperties',
  'patternProperties',
  'propertyNames'
])
/** Parts that only references lead to. */
const notVisited: ReadonlySet<string> = new Set(['$defs', 'definitions'])
/** Types whose values are told apart without comparing all pairs. */
const scalars: ReadonlySet<unknown> = new Set(['string', 'number', 'integer', 'boolean', 'null'])

const plainSteps = 0.3
const referenceSteps = 15
const formatSteps: Readonly<Record<string, number>> = { email: 400 }
const otherFormatSteps = 30
const failedBranchSteps = 20
/** An `enum` of more values than this, or of objects, is compared value by value. */
const unrolledValues = 200

type Member = (name: string) => unknown

/** How often the part under `key` may be visited for one event, when the part around it is visited `visits` times. */
export function visitsUnder(member: Member, key: string, visits: number): number {
  if (notVisited.has(key)) return 0
  if (byElement.has(key))
    return Math.min(mostElements, visits * Math.min(numberOr(member('maxItems'), mostElements), mostElements))
  if (byKey.has(key)) return visits === 0 ? 0 : mostKeys
  return key === 'properties' ? Math.min(visits, mostKeys) : visits
}

/** Steps of the keywords of one part, without the parts below it. */
export function stepsOf(member: Member, visits: number): number {
  return (
    visits * (member('$ref') === undefined ? plainSteps : referenceSteps) +
    branchesOf(member) * failedBranchSteps * visits +
    valueSteps(member, visits) +
    formatStepsOf(member('format')) * visits +
    patternSteps(member, visits) +
    uniqueSteps(member, visits)
  )
}

/** Branches that may fail without failing the event: each failure makes an error that is thrown away. */
function branchesOf(member: Member): number {
  const anyOf = Math.max(0, lengthOf(member('anyOf')) - 1)
  const others = ['not', 'if', 'contains'].filter((name) => member(name) !== undefined)
  return anyOf + lengthOf(member('oneOf')) + others.length
}

function valueSteps(member: Member, visits: number): number {
  const listed = member('enum')
  const constant = member('const')
  const values: readonly unknown[] = Array.isArray(listed) ? listed : constant === undefined ? [] : [constant]
  let steps = values.length > unrolledValues ? values.length * visits * 2 : 0
  for (const value of values) {
    if (typeof value === 'object' && value !== null)
      steps += visits * 15 + Math.min(mostElements, visits * sizeOf(value)) * 4
  }
  return steps
}

function formatStepsOf(format: unknown): number {
  return typeof format === 'string' ? (formatSteps[format] ?? otherFormatSteps) : 0
}

function patternSteps(member: Member, visits: number): number {
  const steps = (longest: unknown, times: number): number =>
    times * 400 + Math.min(mostCharacters, times * numberOr(longest, mostCharacters)) * 100
  const own = typeof member('pattern') === 'string' ? steps(member('maxLength'), visits) : 0
  const byPattern = member('patternProperties')
  const names = typeof byPattern === 'object' && byPattern !== null ? Object.keys(byPattern).length : 0
  return own + names * visitsUnder(member, 'propertyNames', visits) * 400
}

function uniqueSteps(member: Member, visits: number): number {
  if (member('uniqueItems') !== true) return 0
  const most = Math.min(numberOr(member('maxItems'), mostElements), mostElements)
  const items = member('items')
  const type: unknown = typeof items === 'object' && items !== null ? Reflect.get(items, 'type') : undefined
  if (scalars.has(type)) return Math.min(mostElements, visits * most) * 10
  // Two values that differ in their last part only are compared to their end, and together they may be all of the event.
  return visits === 0 ? 0 : mostElements * most * 1.5
}

function lengthOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 0
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' && value >= 0 ? value : otherwise
}

/** Values inside `value`, itself included; schemas are shallow when this is asked. */
function sizeOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  let size = 1
  for (const each of Object.values(value)) size += sizeOf(each)
  return size
}
