// What the server must know of a statement before the engine sees it. A scanner that knows strings, quoted names and
// comments; it does not parse SQL.

/** How a statement is executed. `insert` with a parsed target can take its rows as bytes. */
export type StatementKind = 'select' | 'insert' | 'kill' | 'other'

/** The client's own shape of an INSERT: table, optional columns, a line format. */
export interface InsertTarget {
  readonly table: string
  readonly columns: readonly string[] | undefined
  readonly format: InsertFormat
}

const insertFormats = ['JSONEachRow', 'JSONCompactEachRow', 'CSV', 'CSVWithNames', 'TabSeparated', 'TSV'] as const
export type InsertFormat = (typeof insertFormats)[number]

/** `sql` without leading white space and comments. */
export function trimHead(sql: string): string {
  return sql.replace(/^(?:\s|--[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)+/, '')
}

/** The kind of `sql` by its first keyword. */
export function kindOf(sql: string): StatementKind {
  const head = trimHead(sql)
  if (/^INSERT\b/i.test(head)) return 'insert'
  if (/^KILL\s+QUERY\b/i.test(head)) return 'kill'
  return /^(?:SELECT|WITH|\()/i.test(head) ? 'select' : 'other'
}

/** Whether a second statement follows a `;`. The engine would run both; a server refuses. */
export function isMultiStatement(sql: string): boolean {
  const end = endOfStatement(sql)
  if (end < 0) return false
  let rest = trimHead(sql.slice(end))
  while (rest.startsWith(';')) rest = trimHead(rest.slice(1))
  return rest !== ''
}

/** `sql` without its final `;` and what follows it; only meaningful when it is a single statement. */
export function withoutTerminator(sql: string): string {
  const end = endOfStatement(sql)
  return end < 0 ? sql : sql.slice(0, end)
}

/** Index of the first `;` outside strings, quoted names and comments; -1 when there is none. */
function endOfStatement(sql: string): number {
  for (let i = 0; i < sql.length; i++) {
    const char = sql[i]
    if (char === "'" || char === '`' || char === '"') {
      for (i++; i < sql.length && sql[i] !== char; i++) if (sql[i] === '\\') i++
    } else if ((char === '-' && sql[i + 1] === '-') || char === '#') {
      i = sql.indexOf('\n', i)
      if (i < 0) return -1
    } else if (char === '/' && sql[i + 1] === '*') {
      i = sql.indexOf('*/', i + 2)
      if (i < 0) return -1
      i++
    } else if (char === ';') return i
  }
  return -1
}

/** The target of `INSERT INTO t (a, b) FORMAT JSONEachRow` whose rows come in the body; undefined for other shapes. */
export function insertTarget(sql: string): InsertTarget | undefined {
  const match = /^INSERT\s+INTO\s+(?:TABLE\s+)?([\w.`"]+)\s*(?:\(([^()]*)\))?\s*FORMAT\s+(\w+)\s*$/i.exec(trimHead(sql))
  if (match === null) return undefined
  const wanted = (match[3] ?? '').toLowerCase()
  const format = insertFormats.find((name) => name.toLowerCase() === wanted)
  if (format === undefined) return undefined
  const bare = (name: string): string => name.trim().replace(/[`"]/g, '')
  return { table: bare(match[1] ?? ''), columns: match[2]?.split(',').map(bare), format }
}

/** The query id that `KILL QUERY WHERE query_id = '...'` names. */
export function killTarget(sql: string): string | undefined {
  return /\bquery_id\s*=\s*'([^'\\]+)'/i.exec(sql)?.[1]
}

/** The format named at the end of a statement. */
export function formatOf(sql: string): string | undefined {
  return /\bFORMAT\s+(\w+)\s*$/i.exec(sql)?.[1]
}

/** `sql` without a FORMAT clause at its end. */
export function withoutFormat(sql: string): string {
  return sql.replace(/\bFORMAT\s+\w+\s*$/i, '')
}

const streamable =
  /^(?:JSONEachRow|JSONCompactEachRow|JSONStringsEachRow|TabSeparated|TSV|CSV|RowBinary|LineAsString)$/i

/** Whether the rows of a SELECT can be sent while the engine still produces them. */
export function canStream(sql: string, format: string): boolean {
  return kindOf(sql) === 'select' && streamable.test(format)
}

/** `value` as an SQL string literal. */
export function literal(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
