// Whether the time that a query is about is over: then its answer hardly changes any more and may be kept longer. Errs to
// the side of "it goes on": only what is plainly bounded from above counts. Pure.
import { readableTables } from './vocabulary.ts'

type Node = Readonly<Record<string, unknown>>

/** Where a part of a query ends: a time as text or the value of a parameter, and what lies beyond it. */
export interface TimeEnd {
  readonly text?: string
  readonly parameter?: string
  /** 86,400,000 when the end is a whole day, which is included. */
  readonly addMs: number
}

/** `open`: some part of the query has no end. */
export type TimeEnds = 'open' | readonly TimeEnd[]

const dayMs = 86_400_000
/** Their values change from one moment to the next. */
const restless =
  /^(?:now(?:64)?(?:inblock)?|today|yesterday|curdate|rand\w*|generate\w*|current_?(?:date|timestamp)|utc_?timestamp)$/i
/** Who did an event of its rows may be known later. */
const restlessTable = 'events_fresh'
/** Functions around a text that leave the time that it tells. */
const conversions = /^(?:todate|todate32|todatetime|todatetime64)$/i

/** The ends of every part of the syntax tree that reads a table. */
export function endsOf(tree: unknown): TimeEnds {
  const ends: TimeEnd[] = []
  return collect(tree, ends) ? ends : 'open'
}

/** Whether every part ends at `beforeMs` or earlier. */
export function isOverBefore(ends: TimeEnds, params: Readonly<Record<string, unknown>>, beforeMs: number): boolean {
  if (ends === 'open') return false
  return ends.every(({ text, parameter, addMs }) => {
    const value = text ?? (parameter === undefined ? undefined : params[parameter])
    const atMs = typeof value === 'string' ? toMs(value) : undefined
    return atMs !== undefined && atMs + addMs <= beforeMs
  })
}

/** Adds the ends of `value`; false when it has a part without one. */
function collect(value: unknown, ends: TimeEnd[]): boolean {
  if (Array.isArray(value)) return value.every((item) => collect(item, ends))
  if (!isNode(value)) return true
  const name = nodeOf(value, 'function')?.['name']
  if (typeof name === 'string' && restless.test(name)) return false
  if ('current_timestamp' in value || 'current_date' in value || 'rand' in value) return false
  const select = nodeOf(value, 'select')
  if (select !== undefined && !collectSelect(select, ends)) return false
  return Object.values(value).every((child) => collect(child, ends))
}

function collectSelect(select: Node, ends: TimeEnd[]): boolean {
  const sources = [
    ...listOf(nodeOf(select, 'from')?.['expressions']),
    ...listOf(select['joins']).map((join) => join['this'])
  ]
  const tables = sources.map((source) => tableOf(source)).filter((name) => name !== undefined)
  if (tables.length === 0) return true
  if (tables.includes(restlessTable)) return false
  // With several sources a bound may be on the other one.
  if (sources.length > 1) return false
  const end = [nodeOf(select, 'where_clause')?.['this'], nodeOf(select, 'prewhere')?.['this'] ?? select['prewhere']]
    .flatMap((condition) => conjuncts(condition))
    .map((condition) => endOf(condition))
    .find((each) => each !== undefined)
  if (end === undefined) return false
  ends.push(end)
  return true
}

/** The table that `source` is. */
function tableOf(source: unknown): string | undefined {
  const name = nodeOf(nodeOf(source, 'table'), 'name')?.['name']
  return typeof name === 'string' && readableTables.has(name) ? name : undefined
}

/** The parts of a condition that all must hold. */
function conjuncts(condition: unknown): readonly unknown[] {
  const both = nodeOf(condition, 'and')
  if (both !== undefined) return [...conjuncts(both['left']), ...conjuncts(both['right'])]
  const inner = nodeOf(condition, 'paren')
  return inner === undefined ? [condition] : conjuncts(inner['this'])
}

/** The end that a condition gives the time of events. */
function endOf(condition: unknown): TimeEnd | undefined {
  const below = nodeOf(condition, 'lt') ?? nodeOf(condition, 'lte')
  if (below !== undefined) return ended(below['left'], below['right'])
  const above = nodeOf(condition, 'gt') ?? nodeOf(condition, 'gte')
  if (above !== undefined) return ended(above['right'], above['left'])
  const same = nodeOf(condition, 'eq')
  if (same !== undefined) return ended(same['left'], same['right']) ?? ended(same['right'], same['left'])
  const between = nodeOf(condition, 'between')
  return between === undefined || between['not'] === true ? undefined : ended(between['this'], between['high'])
}

function ended(time: unknown, value: unknown): TimeEnd | undefined {
  const inner = unwrapped(time)
  const column = nodeOf(nodeOf(inner, 'column'), 'name')?.['name']
  if (column !== 'timestamp') return undefined
  // A day that is compared is included as a whole.
  const addMs = inner === time ? 0 : dayMs
  const given = unwrapped(value)
  const literal = nodeOf(given, 'literal')
  if (literal?.['literal_type'] === 'string') return { text: String(literal['value']), addMs }
  const parameter = nodeOf(given, 'parameter')
  return parameter === undefined ? undefined : { parameter: String(parameter['name']), addMs }
}

/** What stands in a conversion; one that names a time zone is not understood. */
function unwrapped(value: unknown): unknown {
  const call = nodeOf(value, 'function')
  if (call === undefined || !conversions.test(String(call['name']))) return value
  const [first, ...others] = listOf(call['args'])
  const hasZone = others.some((other) => nodeOf(other, 'literal')?.['literal_type'] !== 'number')
  return hasZone ? undefined : first
}

/** A day or time without a zone is UTC, as in the engine. */
function toMs(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?$/.test(text)) return undefined
  const atMs = Date.parse(text.length === 10 ? text : `${text.replace(' ', 'T')}Z`)
  return Number.isNaN(atMs) ? undefined : atMs
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function nodeOf(value: unknown, key: string): Node | undefined {
  const child = isNode(value) ? value[key] : undefined
  return isNode(child) ? child : undefined
}

function listOf(value: unknown): readonly Node[] {
  return Array.isArray(value) ? value.filter((item): item is Node => isNode(item)) : []
}
