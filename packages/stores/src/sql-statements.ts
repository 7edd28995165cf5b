// The statements of an SQL file. ClickHouse takes one statement per request, so the file must be cut, and only at those
// semicolons that are not inside a string, a quoted name, a heredoc or a comment.

/**
 * Statements of `sql` in order, without their semicolon and without comments around them; empty ones are left out.
 * Understands '...', "..." and `...` with backslashes and doubled quotes, $tag$...$tag$, --, # and block comments.
 */
export function splitStatements(sql: string): readonly string[] {
  const statements: string[] = []
  let start = 0
  let at = 0
  const cut = (): void => {
    const statement = stripComments(sql.slice(start, at))
    if (statement !== '') statements.push(statement)
  }
  while (at < sql.length) {
    if (sql[at] === ';') {
      cut()
      start = ++at
    } else at = endOfToken(sql, at)
  }
  cut()
  return statements
}

const replaces = /^CREATE\s+OR\s+REPLACE\s/i
const makes =
  /^(CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?(?:MATERIALIZED\s+)?(?:TABLE|VIEW|DICTIONARY)\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?`?(\w+)/i

/** The tables, views and dictionaries that `statements` make and do not drop again. */
export function namesMadeBy(statements: readonly string[]): readonly string[] {
  const made = new Set<string>()
  for (const statement of statements) {
    const [, verb = '', name = ''] = makes.exec(statement) ?? []
    if (verb.toUpperCase() === 'CREATE') made.add(name)
    else made.delete(name)
  }
  return [...made]
}

/** Computes a column or projection for rows that are older than it; tables that were made anew have no such rows. */
const fills = /^ALTER\s+TABLE\s+\S+\s+MATERIALIZE\s/i
const rewrites = /^ALTER\s+TABLE\s+`?(\w+)`?\s+((?:MATERIALIZE|DROP)\s+(?:COLUMN|PROJECTION)\s.*)$/is

/** A statement that writes the parts of a table anew: the server does it after the reply, and lists it until it is done. */
interface Rewrite {
  readonly table: string
  /** As in `system.mutations`, without parentheses. */
  readonly commands: readonly string[]
}

/** What `statement` has the server do in the background; undefined for statements that are done with their reply. */
export function rewriteOf(statement: string): Rewrite | undefined {
  const [, table, commands] = rewrites.exec(statement) ?? []
  if (table === undefined || commands === undefined) return undefined
  return { table, commands: commands.split(',').map((command) => command.trim().replaceAll(/\s+/g, ' ')) }
}

const addsColumn = /^ALTER\s+TABLE\s+`?(\w+)`?\s+ADD\s+COLUMN\s+(?:IF\s+NOT\s+EXISTS\s+)?`?(\w+)/i
const dropsColumn = /^ALTER\s+TABLE\s+`?(\w+)`?\s+DROP\s+COLUMN\s+(?:IF\s+EXISTS\s+)?`?(\w+)/i

/** Whether the one thing that `statement` makes is dropped by one of `later`. */
function isDropped(statement: string, later: readonly string[]): boolean {
  const [, verb = '', name] = makes.exec(statement) ?? []
  if (verb.toUpperCase() === 'CREATE') {
    return later.some((each) => /^DROP\s/i.test(each) && makes.exec(each)?.[2] === name)
  }
  const [, table, column] = addsColumn.exec(statement) ?? []
  if (table === undefined || /,\s*ADD\s/i.test(statement)) return false
  return later.some((each) => {
    const [, ofTable, dropped] = dropsColumn.exec(each) ?? []
    return ofTable === table && dropped === column
  })
}

/**
 * `statements` to run over a database that has them already. Of a name in `present` only the last definition is left:
 * an earlier one would take its place until the last one is run, or for good when that never happens. While nothing is
 * missing, what a later statement drops is not made for it; else a step in between may need it. Old rows are not
 * computed once more, which would write every part of a table again.
 */
export function statementsToRepeat(statements: readonly string[], present: ReadonlySet<string>): readonly string[] {
  const names = statements.map((statement) => (replaces.test(statement) ? makes.exec(statement)?.[2] : undefined))
  const isWhole = namesMadeBy(statements).every((name) => present.has(name))
  return statements.filter((statement, index) => {
    const name = names[index]
    if (fills.test(statement)) return false
    if (isWhole && isDropped(statement, statements.slice(index + 1))) return false
    return name === undefined || !present.has(name) || names.lastIndexOf(name) === index
  })
}

/** The index after the token at `at`: a string, a comment, or one character. An unclosed one reaches to the end. */
function endOfToken(sql: string, at: number): number {
  const char = sql[at]
  if (char === "'" || char === '"' || char === '`') return endOfQuoted(sql, at, char)
  return endOfComment(sql, at) ?? endOfHeredoc(sql, at) ?? at + 1
}

function endOfQuoted(sql: string, from: number, quote: string): number {
  for (let at = from + 1; at < sql.length; at++) {
    if (sql[at] === '\\') at++
    // A doubled quote ends one string and begins the next, which comes to the same.
    else if (sql[at] === quote) return at + 1
  }
  return sql.length
}

function endOfComment(sql: string, at: number): number | undefined {
  const two = sql.slice(at, at + 2)
  if (two === '/*') return after(sql, '*/', at + 2)
  if (two === '--' || two === '# ' || two === '#!') return after(sql, '\n', at + 2)
  return undefined
}

function endOfHeredoc(sql: string, at: number): number | undefined {
  if (sql[at] !== '$') return undefined
  const tag = /^\$[A-Za-z0-9_]*\$/.exec(sql.slice(at, at + 66))?.[0]
  return tag === undefined ? undefined : after(sql, tag, at + tag.length)
}

function after(sql: string, text: string, from: number): number {
  const found = sql.indexOf(text, from)
  return found < 0 ? sql.length : found + text.length
}

/** Comments and space at both ends are dropped; a comment inside belongs to the statement. */
function stripComments(text: string): string {
  let from = 0
  for (;;) {
    while (/\s/.test(text[from] ?? '')) from++
    const end = endOfComment(text, from)
    if (end === undefined) break
    from = end
  }
  return text.slice(from).trim()
}
