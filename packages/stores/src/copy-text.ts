// The text format of COPY: a line per row, tabs between columns, `\N` for NULL.
// https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"

/** One line, without its end. Texts are escaped; U+0000, which PostgreSQL cannot store, becomes U+FFFD. */
export function copyLine(values: readonly (string | number | bigint | null)[]): string {
  let line = ''
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (index > 0) line += '\t'
    line += value === null || value === undefined ? '\\N' : typeof value === 'string' ? escapeText(value) : `${value}`
  }
  return line
}

const special = /[\\\t\n\r\0]/
const escapes: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
  '\0': '\uFFFD'
}

function escapeText(text: string): string {
  return special.test(text) ? text.replaceAll(/[\\\t\n\r\0]/g, (found) => escapes[found] ?? found) : text
}
