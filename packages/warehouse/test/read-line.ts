// A line of the warehouse read back as the server reads it.
import type { Line } from '@millrace/stores/tab-lines'

const meanings: Readonly<Record<string, string>> = { 0: '\0', b: '\b', t: '\t', n: '\n', f: '\f', r: '\r', '\\': '\\' }

/** The fields of `line` by the names of `columns`; null for NULL. Throws when it is not one whole line of them. */
export function readLine(
  { bytes, start, end }: Line,
  columns: readonly { readonly name: string }[]
): Readonly<Record<string, string | null>> {
  const text = bytes.toString('utf8', start, end)
  const fields = text.slice(0, -1).split('\t')
  if (text.indexOf('\n') !== text.length - 1 || fields.length !== columns.length) throw new Error(`no line: ${text}`)
  return Object.fromEntries(columns.map(({ name }, index) => [name, readField(fields[index] ?? '')]))
}

function readField(field: string): string | null {
  if (field === String.raw`\N`) return null
  return field.replaceAll(/\\(.)/g, (_pair, letter: string) => {
    const meaning = meanings[letter]
    if (meaning === undefined) throw new Error(`no escape: \\${letter}`)
    return meaning
  })
}
