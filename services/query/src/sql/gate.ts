// Reads a query, refuses what it does not understand, and writes it anew from the tree, so the bytes of a client never
// reach the engine. It gives good errors and hides the physical schema; isolation between projects does not rest on it
// but on the engine's row filter.
import { setFlagsFromString } from 'node:v8'
import { createLru } from '@millrace/kernel'
import { Dialect, generate, init, parse } from '@polyglot-sql/sdk'
import { stripComments } from './strip-comments.ts'
import { endsOf } from './time-range.ts'
import type { TimeEnds } from './time-range.ts'
import { isAllowedFunction, knownKeys, readableTableFunctions, readableTables } from './vocabulary.ts'

/** Longest query, in characters. */
export const maxQueryLength = 65_536

/** A query that may run, or what is wrong with it and where (1-based, in characters). */
export type Gated =
  | {
      readonly ok: true
      readonly sql: string
      readonly parameters: ReadonlyMap<string, string>
      /** Where the time that it is about ends. */
      readonly ends: TimeEnds
    }
  | {
      readonly ok: false
      readonly code: 'query_refused' | 'query_failed'
      readonly detail: string
      readonly position?: Position
    }

export interface Position {
  readonly line: number
  readonly column: number
}

type Node = Readonly<Record<string, unknown>>

/** A refusal inside the walk; becomes a value at the edge of this file. */
class Refusal extends Error {
  readonly offset: number | undefined
  constructor(message: string, offset?: number) {
    super(message)
    this.offset = offset
  }
}

/**
 * Loads the parser; call once before `gate`. It is WebAssembly, which stays as V8's baseline compiler made it: the first
 * queries would have the optimizing one compile it, which takes 900 MiB for two seconds and saves less than a millisecond
 * of a query.
 */
export async function loadGate(): Promise<void> {
  setFlagsFromString('--no-wasm-tier-up')
  setFlagsFromString('--no-wasm-dynamic-tiering')
  await init()
}

/** `gate` that remembers what it said of texts that are asked again: parsing takes milliseconds. Pure as `gate` is. */
export function createGate(): (sql: string) => Gated {
  const known = createLru<string, Gated>(rememberedQueries)
  return (sql) => {
    const before = known.get(sql)
    if (before !== undefined) return before
    const gated = gate(sql)
    if (sql.length <= longestRemembered) known.set(sql, gated)
    return gated
  }
}

const rememberedQueries = 2_000
const longestRemembered = 4_096

/** Checks one query. Pure after `loadGate`. */
export function gate(sql: string): Gated {
  if (sql.trim() === '') return { ok: false, code: 'query_failed', detail: 'the query is empty' }
  if (sql.length > maxQueryLength) {
    return { ok: false, code: 'query_refused', detail: `the query is longer than ${maxQueryLength} characters` }
  }
  const parsed = parse(stripComments(sql), Dialect.ClickHouse)
  if (!parsed.success) return { ok: false, code: 'query_failed', detail: `syntax: ${parsed.error ?? 'not understood'}` }
  // The tree is plain JSON; its shape is checked key by key below.
  const statements = parsed.ast as unknown as readonly Node[]
  const parameters = new Map<string, string>()
  try {
    const [statement] = statements
    if (statement === undefined || statements.length !== 1) throw new Refusal('exactly one statement is permitted')
    const kind = Object.keys(statement)[0] ?? 'nothing'
    if (!['select', 'union', 'intersect', 'except', 'subquery', 'paren'].includes(kind))
      throw new Refusal('only SELECT is permitted')
    walk(statement, { ctes: new Set(), source: false, parameters })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return { ok: false, code: 'query_refused', detail: error.message, ...positionOf(sql, error.offset) }
  }
  const written = generate(parsed.ast, Dialect.ClickHouse)
  const text = written.success ? written.sql?.[0] : undefined
  if (text === undefined)
    return { ok: false, code: 'query_refused', detail: 'the query uses syntax that is not supported' }
  return { ok: true, sql: text, parameters, ends: endsOf(statements) }
}

interface Scope {
  /** Names of common table expressions in force. */
  readonly ctes: ReadonlySet<string>
  /** Whether the node stands where rows come from: FROM or JOIN. */
  readonly source: boolean
  readonly parameters: Map<string, string>
}

function walk(value: unknown, scope: Scope): void {
  if (Array.isArray(value)) {
    for (const item of value) walk(item, scope)
    return
  }
  if (!isNode(value)) return
  const inner = enterCtes(value, scope)
  for (const [key, child] of Object.entries(value)) {
    if (isAbsent(child) || key === 'span') continue
    if (!knownKeys.has(key)) throw new Refusal(`${describe(key)} is not permitted`, offsetOf(value))
    checkNode(key, child, inner)
    walk(child, { ...inner, source: isSource(key, inner) })
  }
}

/** Common table expressions become readable; one that takes the name of a table would hide what is read. */
function enterCtes(node: Node, scope: Scope): Scope {
  const declared = isNode(node['with']) ? node['with']['ctes'] : undefined
  if (!Array.isArray(declared)) return scope
  const ctes = new Set(scope.ctes)
  for (const cte of declared as readonly Node[]) {
    const name = nameOf(cte['alias'])
    if (name === undefined || readableTables.has(name.toLowerCase())) {
      throw new Refusal(`a WITH expression may not be called ${name ?? 'nothing'}`, offsetOf(cte))
    }
    ctes.add(name)
  }
  return { ...scope, ctes }
}

function checkNode(key: string, child: unknown, scope: Scope): void {
  if (!isNode(child)) return
  if (key === 'table' && isNode(child['name'])) checkTable(child, scope)
  if (key === 'function') checkFunction(child, scope)
  if (key === 'aggregate_function' || key === 'combined_parameterized_agg')
    checkFunctionName(nameOf(child) ?? nameOf(child['this']), child)
  if (key === 'in') checkIn(child)
  if (key === 'parameter') checkParameter(child, scope)
}

function checkTable(table: Node, scope: Scope): void {
  const name = nameOf(table) ?? ''
  const offset = offsetOf(table['name'])
  if (!isAbsent(table['schema']) || !isAbsent(table['catalog']))
    throw new Refusal(`name tables without a database: ${name}`, offset)
  if (!scope.ctes.has(name) && !readableTables.has(name)) {
    throw new Refusal(`there is no table ${name}; readable: ${[...readableTables].join(', ')}`, offset)
  }
}

function checkFunction(call: Node, scope: Scope): void {
  const name = nameOf(call) ?? ''
  if (!scope.source) return checkFunctionName(name, call)
  if (!readableTableFunctions.has(name.toLowerCase())) {
    throw new Refusal(
      `there is no table function ${name}; readable: ${[...readableTableFunctions].join(', ')}`,
      offsetOf(call)
    )
  }
}

function checkFunctionName(name: string | undefined, node: Node): void {
  if (name === undefined || !isAllowedFunction(name))
    throw new Refusal(`the function ${name ?? ''} is not permitted`, offsetOf(node))
}

/** An identifier right of IN names a table for ClickHouse, with or without parentheses. */
function checkIn(node: Node): void {
  const options = Array.isArray(node['expressions']) ? (node['expressions'] as readonly Node[]) : []
  for (const option of options) {
    const kind = Object.keys(option)[0] ?? ''
    if (kind === 'column' || kind === 'identifier' || kind === 'table' || kind === 'dot') {
      throw new Refusal('values or a subquery must stand right of IN, not a name', offsetOf(option[kind]))
    }
  }
}

function checkParameter(node: Node, scope: Scope): void {
  const name = typeof node['name'] === 'string' ? node['name'] : ''
  const type = typeof node['expression'] === 'string' ? node['expression'] : ''
  if (node['style'] !== 'Brace' || !/^[A-Za-z_]\w{0,63}$/.test(name) || type === '') {
    throw new Refusal('bind values as {name:Type}', offsetOf(node))
  }
  if (/identifier/i.test(type)) throw new Refusal('a bound value cannot be a name of a table or column', offsetOf(node))
  scope.parameters.set(name, type.trim())
}

/** FROM and JOIN hold row sources; aliases and lists inside them still do, expressions do not. */
function isSource(key: string, scope: Scope): boolean {
  if (key === 'from' || key === 'joins') return true
  return scope.source && ['expressions', 'this', 'alias', 'paren'].includes(key)
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0)
}

function nameOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (!isNode(value)) return undefined
  return nameOf(value['name'] ?? value['identifier'])
}

/** Offset of the first character of a node, where the parser tells it. */
function offsetOf(value: unknown): number | undefined {
  if (!isNode(value)) return undefined
  const span = value['span']
  if (isNode(span) && typeof span['start'] === 'number') return span['start']
  for (const child of Object.values(value)) {
    const offset = Array.isArray(child) ? offsetOf(child[0]) : offsetOf(child)
    if (offset !== undefined) return offset
  }
  return undefined
}

function positionOf(sql: string, offset: number | undefined): { position?: Position } {
  if (offset === undefined) return {}
  const lines = sql.slice(0, offset).split('\n')
  return { position: { line: lines.length, column: (lines.at(-1) ?? '').length + 1 } }
}

function describe(key: string): string {
  return (
    { settings: 'SETTINGS', format: 'FORMAT', into: 'INTO', command: 'this statement', final_: 'FINAL' }[key] ??
    `this syntax (${key})`
  )
}
