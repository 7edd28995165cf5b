// Conditions on events as dashboards have them: a property, an operator, values. A property is a column of `events`, or
// `properties.<name>`, a member of what the client sent. Pure.
import { WrongInput, longestText, readList, readObject, readText } from './input.ts'
import type { Bind } from './bound.ts'

/** Columns that can be filtered and told apart by; all are texts. */
export const eventProperties = [
  'eventType',
  'userId',
  'anonymousId',
  'sessionId',
  'url',
  'path',
  'referrer',
  'title',
  'campaignSource',
  'campaignMedium',
  'campaignName',
  'campaignTerm',
  'campaignContent',
  'trafficSource',
  'deviceType',
  'os',
  'browser',
  'country',
  'locale',
  'libraryName',
  'libraryVersion'
] as const

const ofSets = ['is', 'isNot'] as const
const ofTexts = ['contains', 'notContains', 'startsWith', 'endsWith'] as const
const ofNumbers = ['gt', 'gte', 'lt', 'lte'] as const
const ofPresence = ['isSet', 'isNotSet'] as const
export const operators = [...ofSets, ...ofTexts, ...ofNumbers, ...ofPresence] as const
export type Operator = (typeof operators)[number]

type Value = string | number | boolean

/** All of `filters` of a step must hold; of `values` one is enough (for `isNot` and `notContains`: none holds). */
export interface Filter {
  readonly property: string
  readonly operator: Operator
  readonly values: readonly Value[]
}

export const mostFilters = 10
const mostValues = 50
const member = 'properties.'

/** The filters of a step or question; none when they are missing. Throws WrongInput. */
export function readFilters(value: unknown, pointer: string): readonly Filter[] {
  return value === undefined ? [] : readList(value, pointer, [0, mostFilters], readFilter)
}

/** The name of a property. Throws WrongInput. */
export function readProperty(value: unknown, pointer: string): string {
  const name = readText(value, pointer)
  if (name.startsWith(member) ? name.length > member.length : (eventProperties as readonly string[]).includes(name)) {
    return name
  }
  throw new WrongInput(pointer, `must be properties.<name> or one of ${eventProperties.join(', ')}`)
}

function readFilter(value: unknown, pointer: string): Filter {
  const { property: name, operator: given, values } = readObject(value, pointer, ['property', 'operator', 'values'])
  const property = readProperty(name, `${pointer}/property`)
  const operator = operators.find((each) => each === given)
  if (operator === undefined) throw new WrongInput(`${pointer}/operator`, `must be one of ${operators.join(', ')}`)
  const place = `${pointer}/values`
  if (isOneOf(operator, ofPresence)) {
    if (values !== undefined) throw new WrongInput(place, `${operator} takes no values`)
    return { property, operator, values: [] }
  }
  const isMember = property.startsWith(member)
  const isNumeric = isOneOf(operator, ofNumbers)
  if (isNumeric && !isMember)
    throw new WrongInput(`${pointer}/operator`, `${property} is a text and has no ${operator}`)
  const rule = (each: unknown): each is Value => {
    if (isNumeric) return Number.isFinite(each)
    if (typeof each === 'string') return each.length <= longestText && (isOneOf(operator, ofSets) || each !== '')
    return isMember && isOneOf(operator, ofSets) && (typeof each === 'boolean' || Number.isFinite(each))
  }
  const read = readList(values, place, [1, isNumeric ? 1 : mostValues], (each, at) => {
    if (!rule(each)) throw new WrongInput(at, `is no value that ${operator} compares ${property} with`)
    return each
  })
  return { property, operator, values: read }
}

function isOneOf(operator: Operator, some: readonly Operator[]): boolean {
  return some.includes(operator)
}

/** The condition of `filters`, all of which must hold. */
export function filtersSql(filters: readonly Filter[], bind: Bind): readonly string[] {
  return filters.map((filter) => (filter.property.startsWith(member) ? ofMember(filter, bind) : ofColumn(filter, bind)))
}

function ofColumn({ property, operator, values }: Filter, bind: Bind): string {
  switch (operator) {
    case 'isSet':
      return `${property} != ''`
    case 'isNotSet':
      return `${property} = ''`
    case 'is':
      return `${property} IN ${bind(values, 'Array(String)')}`
    case 'isNot':
      return `${property} NOT IN ${bind(values, 'Array(String)')}`
    default:
      return textSql(operator, `toString(${property})`, bind(values, 'Array(String)'))
  }
}

const numberTypes = `('Int64', 'UInt64', 'Double')`

/** Values are compared with members of their own JSON type alone: the number 5 is not the text "5". */
function ofMember({ property, operator, values }: Filter, bind: Bind): string {
  const at = `(properties, ${bind(property.slice(member.length), 'String')})`
  switch (operator) {
    case 'isSet':
      return `JSONType${at} != 'Null'`
    case 'isNotSet':
      return `JSONType${at} = 'Null'`
    case 'is':
      return anyMember(at, values, bind)
    case 'isNot':
      return `NOT ${anyMember(at, values, bind)}`
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte': {
      const sign = { gt: '>', gte: '>=', lt: '<', lte: '<=' }[operator]
      return `(JSONType${at} IN ${numberTypes} AND JSONExtractFloat${at} ${sign} ${bind(values[0], 'Float64')})`
    }
    default: {
      const found = textSql(operator, `JSONExtractString${at}`, bind(values, 'Array(String)'))
      const isText = `JSONType${at} = 'String'`
      return operator === 'notContains' ? `(${isText} AND ${found} OR NOT ${isText})` : `(${isText} AND ${found})`
    }
  }
}

function anyMember(at: string, values: readonly Value[], bind: Bind): string {
  const texts = values.filter((value) => typeof value === 'string')
  const numbers = values.filter((value) => typeof value === 'number')
  const truths = values.filter((value) => typeof value === 'boolean').map(Number)
  const parts = [
    texts.length > 0 && `JSONType${at} = 'String' AND JSONExtractString${at} IN ${bind(texts, 'Array(String)')}`,
    numbers.length > 0 &&
      `JSONType${at} IN ${numberTypes} AND JSONExtractFloat${at} IN ${bind(numbers, 'Array(Float64)')}`,
    truths.length > 0 && `JSONType${at} = 'Bool' AND JSONExtractBool${at} IN ${bind(truths, 'Array(UInt8)')}`
  ]
  return `(${parts.filter((part) => part !== false).join(' OR ')})`
}

function textSql(operator: Operator, text: string, values: string): string {
  const any = (condition: string): string => `arrayExists(v -> ${condition}, ${values})`
  if (operator === 'startsWith') return any(`startsWith(${text}, v)`)
  if (operator === 'endsWith') return any(`endsWith(${text}, v)`)
  const contains = any(`position(${text}, v) > 0`)
  return operator === 'notContains' ? `NOT ${contains}` : contains
}

/** The value of a property as text: numbers and truth values as JSON has them; empty when there is none, or no text. */
export function valueSql(property: string, bind: Bind): string {
  if (!property.startsWith(member)) return `toString(${property})`
  const at = `(properties, ${bind(property.slice(member.length), 'String')})`
  return `multiIf(JSONType${at} = 'String', JSONExtractString${at}, JSONType${at} IN ('Null', 'Object', 'Array'), '', JSONExtractRaw${at})`
}
