// The schema of an event type: JSON Schema 2020-12 over the `properties` of an event. Schemas come from users, so what is
// compiled is bounded: size, depth, number of parts, no reference to the outside, and patterns that a linear-time engine
// takes. https://json-schema.org/draft/2020-12, https://ajv.js.org/security.html
import { RE2JS } from 're2js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { ErrorObject } from 'ajv/dist/2020.js'
import { AppError } from '@millrace/kernel'
import { parseIsoTime } from './iso-time.ts'
import { mostSteps, stepsOf, visitsUnder } from './schema-cost.ts'

/** What happens to an event that breaks its schema: 422, a counted warning, or nothing. */
export const schemaModes = ['enforce', 'warn', 'off'] as const
export type SchemaMode = (typeof schemaModes)[number]

/** Where an event breaks its schema, as a pointer into the event, and what was expected there. */
export interface SchemaMismatch {
  readonly pointer: string
  readonly expected: string
}

export interface EventSchema {
  /** The first place where `properties` breaks the schema; an event without properties has none of them. */
  check(properties: unknown): SchemaMismatch | undefined
  /** The same of properties as a row holds them: the JSON of an object. */
  checkText(json: string): SchemaMismatch | undefined
}

const limits = {
  bytes: 64 * 1024,
  depth: 16,
  /** With each reference counted as often as it is followed. */
  parts: 2_000,
  patternLength: 500,
  /** Steps of one match: instructions of the pattern times characters of the text. */
  patternSteps: 50_000,
  uniqueItems: 100
}
const draft = 'https://json-schema.org/draft/2020-12/schema'

/** Makes a check of `schema`. Throws PIPE_INVALID_INPUT with the place and the reason when it cannot be one. */
export function compileEventSchema(schema: unknown): EventSchema {
  inspect(schema)
  // One instance each: a schema must not see another's `$id`, and an instance keeps what it has compiled.
  const ajv = new Ajv2020({
    allErrors: false,
    inlineRefs: false,
    strictTypes: false,
    ownProperties: true,
    logger: false,
    code: { regExp: linearRegExp }
  })
  ajv.addFormat('date-time', (text) => parseIsoTime(text) !== undefined)
  ajv.addFormat('date', (text) => isDate(text))
  ajv.addFormat('uuid', (text) => uuid.test(text))
  ajv.addFormat('email', (text) => email.test(text))
  ajv.addFormat('uri', (text) => URL.canParse(text))
  let validate: ReturnType<typeof ajv.compile>
  try {
    // The types of the library want its own; what it cannot take it says by throwing.
    validate = ajv.compile(schema as object)
  } catch (error) {
    throw invalid('', error instanceof Error ? error.message : String(error), error)
  }
  const check = (properties: unknown = {}): SchemaMismatch | undefined =>
    validate(properties) ? undefined : toMismatch(validate.errors?.[0])
  return { check, checkText: (json) => check(JSON.parse(json)) }
}

/** The value of a schema file. Throws PIPE_INVALID_INPUT when it is not JSON. */
export function parseSchemaText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid('', `not JSON: ${error instanceof Error ? error.message : String(error)}`, error)
  }
}

const uuid = RE2JS.compile('^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$')
const email = RE2JS.compile('^[^@\\s]{1,64}@[^@\\s]{1,255}$')

function isDate(text: string): boolean {
  return text.length === 10 && parseIsoTime(`${text}T00:00:00Z`) !== undefined
}

/** The engine for `pattern` and `patternProperties`: no input makes it slow, and what it cannot take it refuses. */
const linearRegExp = Object.assign(
  (pattern: string) => {
    const compiled = RE2JS.compile(pattern)
    // Ajv keeps patterns apart by what they print as.
    return { test: (text: string) => compiled.test(text), toString: () => pattern }
  },
  { code: 'linearRegExp' }
)

/** A part of a schema: one itself, a map from names to schemas, or data, which no rule is about. */
type PartKind = 'schema' | 'map' | 'data'

interface Part {
  readonly value: unknown
  readonly pointer: string
  readonly depth: number
  readonly kind: PartKind
  /** How often the check of one event may come here. */
  readonly visits: number
}

const maps: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas'
])
const data: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples'])

function kindOf(parent: PartKind, key: string): PartKind {
  if (parent === 'data') return 'data'
  if (parent === 'map') return 'schema'
  return maps.has(key) ? 'map' : data.has(key) ? 'data' : 'schema'
}

/** Walks the schema within the limits, without recursion. */
function inspect(schema: unknown): void {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
    throw invalid('', 'a schema is a JSON object')
  const bytes = Buffer.byteLength(JSON.stringify(schema))
  if (bytes > limits.bytes) throw invalid('', `${bytes} bytes, at most ${limits.bytes}`)
  // Answers of an asynchronous check are promises: every event would pass, and the refusals would reach nobody.
  if (Object.hasOwn(schema, '$async')) throw invalid('/$async', 'is not understood')
  const open: Part[] = [{ value: schema, pointer: '', depth: 0, kind: 'schema', visits: 1 }]
  let steps = 0
  for (let parts = 0; open.length > 0; parts++) {
    const { value, pointer, depth, kind, visits } = open.pop()!
    if (parts > limits.parts) throw invalid('', `more than ${limits.parts} parts`)
    if (depth > limits.depth) throw invalid(pointer, `deeper than ${limits.depth} levels`)
    if (typeof value !== 'object' || value === null) continue
    const member = memberOf(value)
    if (kind === 'schema') {
      inspectMembers(member, pointer)
      steps += stepsOf(member, visits)
      if (steps > mostSteps) {
        const hint = 'say maxItems of the arrays around it, or have fewer branches and values'
        throw invalid(pointer, `one event could take more than ${mostSteps} steps to check; ${hint}`)
      }
    }
    // References are followed as the check will follow them: circles end at the depth, ladders at the number of parts.
    const reference = kind === 'schema' ? member('$ref') : undefined
    if (typeof reference === 'string')
      open.push({
        value: targetOf(schema, reference, pointer),
        pointer: `${pointer}/$ref`,
        depth: depth + 1,
        kind,
        visits
      })
    for (const [key, each] of Object.entries(value)) {
      const place = { pointer: `${pointer}/${escapeToken(key)}`, depth: depth + 1, kind: kindOf(kind, key) }
      open.push({ value: each, ...place, visits: kind === 'schema' ? visitsUnder(member, key, visits) : visits })
    }
  }
}

type Member = (name: string) => unknown

/** Reads members of a part. Own ones only: a parsed `__proto__` is one. */
function memberOf(part: object): Member {
  return (name) => (Object.hasOwn(part, name) ? Reflect.get(part, name) : undefined)
}

function inspectMembers(member: Member, pointer: string): void {
  const own = member('$schema')
  if (typeof own === 'string' && own.replace(/#$/, '') !== draft)
    throw invalid(`${pointer}/$schema`, `only ${draft} is understood`)
  for (const name of ['$id', '$anchor', '$dynamicAnchor', '$dynamicRef', '$recursiveRef']) {
    if (typeof member(name) === 'string' && !(name === '$id' && pointer === ''))
      throw invalid(`${pointer}/${name}`, 'only "#" and "#/..." are followed, so names for parts have no use')
  }
  const pattern = member('pattern')
  if (typeof pattern === 'string') inspectPattern(`${pointer}/pattern`, pattern, member('maxLength'), 'maxLength')
  const names = member('propertyNames')
  const longestName: unknown = typeof names === 'object' && names !== null ? Reflect.get(names, 'maxLength') : undefined
  const byPattern = member('patternProperties')
  if (typeof byPattern === 'object' && byPattern !== null)
    for (const name of Object.keys(byPattern))
      inspectPattern(`${pointer}/patternProperties`, name, longestName, 'propertyNames with maxLength')
  const maxItems = member('maxItems')
  if (member('uniqueItems') === true && !(typeof maxItems === 'number' && maxItems <= limits.uniqueItems))
    throw invalid(
      `${pointer}/uniqueItems`,
      `needs maxItems of at most ${limits.uniqueItems} beside it: it compares all pairs`
    )
}

/** A linear engine still takes instructions times characters, so the longest text has to be said. */
function inspectPattern(pointer: string, pattern: string, longest: unknown, how: string): void {
  if (pattern.length > limits.patternLength) throw invalid(pointer, `longer than ${limits.patternLength} characters`)
  let instructions: number
  try {
    instructions = RE2JS.compile(pattern).programSize()
  } catch (error) {
    throw invalid(pointer, error instanceof Error ? error.message : String(error), error)
  }
  if (typeof longest !== 'number') throw invalid(pointer, `needs ${how} beside it`)
  if (instructions * longest > limits.patternSteps)
    throw invalid(
      pointer,
      `${instructions} instructions on ${longest} characters; at most ${limits.patternSteps} steps`
    )
}

/** The part that "#" or "#/..." names. */
function targetOf(schema: object, reference: string, pointer: string): unknown {
  const [start, ...tokens] = reference.split('/')
  if (start !== '#') throw invalid(`${pointer}/$ref`, 'only references within the schema ("#/...") are followed')
  let target: unknown = schema
  for (const token of tokens) {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof target !== 'object' || target === null || !Object.hasOwn(target, key))
      throw invalid(`${pointer}/$ref`, `can't resolve reference ${reference}`)
    target = Reflect.get(target, key)
  }
  return target
}

function invalid(pointer: string, reason: string, cause?: unknown): AppError {
  return new AppError('PIPE_INVALID_INPUT', `schema${pointer === '' ? '' : ` at ${pointer}`}: ${reason}`, { cause })
}

function escapeToken(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}

function toMismatch(error: ErrorObject | undefined): SchemaMismatch {
  const at = `/properties${error?.instancePath ?? ''}`
  const { missingProperty, additionalProperty } = (error?.params ?? {}) as Readonly<Record<string, unknown>>
  if (typeof missingProperty === 'string')
    return { pointer: `${at}/${escapeToken(missingProperty)}`, expected: 'to be present' }
  if (typeof additionalProperty === 'string')
    return {
      pointer: `${at}/${escapeToken(additionalProperty)}`,
      expected: 'to be absent: the schema has no such member'
    }
  return { pointer: at, expected: `${error?.message ?? 'to fit the schema'}${allowedOf(error)}` }
}

/** The values that an `enum` or `const` allows, as far as they are few. */
function allowedOf(error: ErrorObject | undefined): string {
  const allowed: unknown = error?.params['allowedValues'] ?? error?.params['allowedValue']
  if (allowed === undefined) return ''
  const text = JSON.stringify(allowed)
  return text.length > 200 ? '' : `: ${text}`
}
