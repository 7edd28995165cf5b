// Comments become spaces before parsing, so positions stay and no comment can hide a keyword from the parser.

/** `sql` with every comment outside strings and quoted names replaced by spaces; line breaks stay. */
export function stripComments(sql: string): string {
  let out = ''
  for (let i = 0; i < sql.length;) {
    const end = endOfToken(sql, i)
    const token = sql.slice(i, end)
    out += isComment(sql, i) ? token.replace(/[^\n]/g, ' ') : token
    i = end
  }
  return out
}

function isComment(sql: string, at: number): boolean {
  return sql.startsWith('--', at) || sql.startsWith('/*', at) || sql.startsWith('# ', at) || sql.startsWith('#!', at)
}

function endOfToken(sql: string, at: number): number {
  const char = sql[at]
  if (sql.startsWith('/*', at)) {
    const end = sql.indexOf('*/', at + 2)
    return end < 0 ? sql.length : end + 2
  }
  if (isComment(sql, at)) {
    const end = sql.indexOf('\n', at)
    return end < 0 ? sql.length : end
  }
  if (char !== "'" && char !== '"' && char !== '`') return at + 1
  let i = at + 1
  while (i < sql.length && sql[i] !== char) i += sql[i] === '\\' ? 2 : 1
  return Math.min(sql.length, i + 1)
}
