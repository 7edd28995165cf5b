// Lines of a table as ClickHouse and PostgreSQL read them, written byte by byte into large buffers: a batch is then some
// pieces of them, and no text of a row lives longer than it takes to write it. Texts beside each other, without the names of
// their columns, are half of the bytes of JSON.
// TabSeparated: https://clickhouse.com/docs/interfaces/formats/TabSeparated
// COPY, text format: https://www.postgresql.org/docs/current/sql-copy.html

/** One line with its line end: the bytes `[start, end)` of a buffer that it shares with others. */
export interface Line {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

/** Writes the fields of a line from `at` on, each with a tab behind it; returns the position after the last tab. */
export type PutFields = (bytes: Buffer, at: number) => number

const bufferBytes = 1024 * 1024
const tab = 0x09
const newline = 0x0a
const backslash = 0x5c

/** Makes lines one after the other. A line of at most `mostBytes` bytes is what `put` writes; throws when it wrote more. */
export function createLines(): (mostBytes: number, put: PutFields) => Line {
  let bytes = Buffer.alloc(0)
  let at = 0
  return (mostBytes, put) => {
    if (at + mostBytes > bytes.length) {
      bytes = Buffer.allocUnsafeSlow(Math.max(bufferBytes, mostBytes))
      at = 0
    }
    const start = at
    const end = put(bytes, start)
    // Beyond the end of the buffer nothing is written, and nothing else would say so.
    if (end - start > mostBytes)
      throw new Error(`a line of ${end - start} bytes where at most ${mostBytes} were expected`)
    bytes[end - 1] = newline
    at = end
    return { bytes, start, end }
  }
}

/** `lines` as pieces: those that lie one behind the other are one. */
export function joinLines(lines: readonly Line[]): readonly Buffer[] {
  const pieces: Buffer[] = []
  let [open] = lines
  if (open === undefined) return pieces
  let { end } = open
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index]
    if (line === undefined) continue
    if (line.bytes !== open.bytes || line.start !== end) {
      pieces.push(open.bytes.subarray(open.start, end))
      open = line
    }
    end = line.end
  }
  pieces.push(open.bytes.subarray(open.start, end))
  return pieces
}

/** Most bytes of a text of `length` UTF-16 units, its tab included. */
export function mostBytesOf(length: number): number {
  return length * 3 + 1
}

/** Letters behind the backslash, by character; 0: the character stands for itself. */
type Letters = Uint8Array

/** In place of a letter: the character cannot be stored. */
const refused = 1

function lettersOf(pairs: readonly string[]): Letters {
  const letters = new Uint8Array(128)
  for (const pair of pairs) letters[pair.charCodeAt(0)] = pair.charCodeAt(1)
  return letters
}

const pairs = ['\bb', '\tt', '\nn', '\ff', '\rr', '\\\\']
const forClickhouse = lettersOf([...pairs, '\u00000'])
const forPostgres = lettersOf([...pairs, `\0${String.fromCharCode(refused)}`])

/** Writes `text` and a tab for ClickHouse; half surrogate pairs become U+FFFD. */
export function putText(bytes: Buffer, start: number, text: string): number {
  return put(bytes, start, text, forClickhouse)
}

/** The same for PostgreSQL, which cannot store U+0000; it becomes U+FFFD, too. */
export function putCopyText(bytes: Buffer, start: number, text: string): number {
  return put(bytes, start, text, forPostgres)
}

function put(bytes: Buffer, start: number, text: string, letters: Letters): number {
  let at = start
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code >= 0x80) {
      const point = code < 0xd800 || code > 0xdfff ? code : (text.codePointAt(index) ?? code)
      if (point > 0xffff) index++
      at = putPoint(bytes, at, point)
      continue
    }
    const letter = letters[code] ?? 0
    if (letter === 0) bytes[at++] = code
    else if (letter === refused) at = putPoint(bytes, at, 0xfffd)
    else {
      bytes[at++] = backslash
      bytes[at++] = letter
    }
  }
  bytes[at++] = tab
  return at
}

/** UTF-8 of a code point above 127: https://www.rfc-editor.org/rfc/rfc3629 */
function putPoint(bytes: Buffer, start: number, point: number): number {
  let at = start
  if (point < 0x800) bytes[at++] = 0xc0 | (point >> 6)
  else if (point > 0xffff) {
    bytes[at++] = 0xf0 | (point >> 18)
    bytes[at++] = 0x80 | ((point >> 12) & 0x3f)
    bytes[at++] = 0x80 | ((point >> 6) & 0x3f)
  } else {
    const whole = point >= 0xd800 && point <= 0xdfff ? 0xfffd : point
    bytes[at++] = 0xe0 | (whole >> 12)
    bytes[at++] = 0x80 | ((whole >> 6) & 0x3f)
    bytes[at++] = 0x80 | (whole & 0x3f)
    return at
  }
  bytes[at++] = 0x80 | (point & 0x3f)
  return at
}

/** Writes a whole number, its decimal text, or a truth, and a tab. */
export function putPlain(bytes: Buffer, at: number, value: number | bigint | boolean): number {
  return putText(bytes, at, String(value))
}

/** Writes NULL and a tab. */
export function putNull(bytes: Buffer, at: number): number {
  bytes[at] = backslash
  bytes[at + 1] = 0x4e
  bytes[at + 2] = tab
  return at + 3
}

/** Bytes of a time with its tab, at most. */
export const timeBytes = 25

const dayMs = 86_400_000
const zero = 0x30

/**
 * Writes epoch milliseconds (1970 to 9999) as `2026-06-01 12:00:00.000` and a tab, with `Z` in between when the zone has to
 * be said; remembers the days of the last ones.
 */
export function createPutTime({ zone = false } = {}): (bytes: Buffer, at: number, ms: number) => number {
  const days = new Map<number, Buffer>()
  const dayOf = (day: number): Buffer => {
    const known = days.get(day)
    if (known !== undefined) return known
    if (days.size >= 1_000) days.clear()
    const text = Buffer.from(`${new Date(day * dayMs).toISOString().slice(0, 10)} `)
    days.set(day, text)
    return text
  }
  return (bytes, at, ms) => {
    const day = Math.floor(ms / dayMs)
    const date = dayOf(day)
    for (let index = 0; index < 11; index++) bytes[at + index] = date[index] ?? 0
    const inDay = ms - day * dayMs
    const seconds = Math.floor(inDay / 1_000)
    const minutes = Math.floor(seconds / 60)
    putTwo(bytes, at + 11, Math.floor(minutes / 60), 0x3a)
    putTwo(bytes, at + 14, minutes % 60, 0x3a)
    putTwo(bytes, at + 17, seconds % 60, 0x2e)
    const rest = inDay - seconds * 1_000
    bytes[at + 20] = zero + Math.floor(rest / 100)
    putTwo(bytes, at + 21, rest % 100, tab)
    if (!zone) return at + 24
    bytes[at + 23] = 0x5a
    bytes[at + 24] = tab
    return at + 25
  }
}

function putTwo(bytes: Buffer, at: number, number: number, behind: number): void {
  const tens = Math.floor(number / 10)
  bytes[at] = zero + tens
  bytes[at + 1] = zero + number - tens * 10
  bytes[at + 2] = behind
}
