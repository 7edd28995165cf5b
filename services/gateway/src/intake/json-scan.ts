// Where the values of a JSON text end, by a scan of its bytes: a batch is cut into the client's own bytes, and each event
// is parsed once. The scan finds ends and nothing else; whether a value is JSON says the parser, for each one alone.

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

/** Index of the first byte at or after `at` that is not JSON whitespace; the length when there is none. */
export function skipSpace(text: Buffer, at: number): number {
  let index = at
  for (; index < text.length; index++) {
    const byte = text[index]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
  }
  return index
}

/** Index after the value that starts at `at`, or -1 when it does not end. Brackets are counted, not matched by kind. */
export function endOfValue(text: Buffer, at: number): number {
  const byte = text[at]
  if (byte === quote) return endOfString(text, at)
  if (byte === openBrace || byte === openBracket) return endOfNested(text, at)
  let index = at
  for (; index < text.length; index++) if (endsScalar(text[index])) break
  return index > at ? index : -1
}

/** Index after the string whose opening quote is at `at`, or -1. */
export function endOfString(text: Buffer, at: number): number {
  for (let index = at + 1; index < text.length; index++) {
    const byte = text[index]
    if (byte === quote) return index + 1
    if (byte === backslash) index++
  }
  return -1
}

function endOfNested(text: Buffer, at: number): number {
  let depth = 0
  let index = at
  while (index < text.length) {
    const byte = text[index]
    if (byte === quote) {
      index = endOfString(text, index)
      if (index < 0) return -1
      continue
    }
    index++
    if (byte === openBrace || byte === openBracket) depth++
    else if ((byte === closeBrace || byte === closeBracket) && --depth === 0) return index
  }
  return -1
}

function endsScalar(byte: number | undefined): boolean {
  return (
    byte === comma ||
    byte === closeBrace ||
    byte === closeBracket ||
    byte === 0x20 ||
    byte === 0x0a ||
    byte === 0x0d ||
    byte === 0x09
  )
}

/**
 * The elements of the array that is `text` from `from` to its closing bracket, as slices; undefined when it is no array.
 * More than `max` of them are counted as `max + 1` and not cut any further.
 */
export function elementsOf(text: Buffer, from: number, max: number): { elements: Buffer[]; end: number } | undefined {
  if (text[from] !== openBracket) return undefined
  const elements: Buffer[] = []
  let at = skipSpace(text, from + 1)
  if (text[at] === closeBracket) return { elements, end: at + 1 }
  for (;;) {
    const end = endOfValue(text, at)
    if (end < 0) return undefined
    elements.push(text.subarray(at, end))
    if (elements.length > max) return { elements, end }
    at = skipSpace(text, end)
    if (text[at] === closeBracket) return { elements, end: at + 1 }
    if (text[at] !== comma) return undefined
    at = skipSpace(text, at + 1)
  }
}

/** The members of the object that is all of `text`, as name and start of its value; stops where `visit` returns -1. */
export function visitMembers(text: Buffer, visit: (name: Buffer, at: number) => number): 'object' | 'other' | 'broken' {
  let at = skipSpace(text, 0)
  if (text[at] !== openBrace) return at < text.length ? 'other' : 'broken'
  at = skipSpace(text, at + 1)
  if (text[at] === closeBrace) return isEnd(text, at + 1)
  for (;;) {
    if (text[at] !== quote) return 'broken'
    const nameEnd = endOfString(text, at)
    if (nameEnd < 0) return 'broken'
    const name = text.subarray(at, nameEnd)
    at = skipSpace(text, nameEnd)
    if (text[at] !== 0x3a) return 'broken'
    at = visit(name, skipSpace(text, at + 1))
    if (at < 0) return 'broken'
    at = skipSpace(text, at)
    if (text[at] === closeBrace) return isEnd(text, at + 1)
    if (text[at] !== comma) return 'broken'
    at = skipSpace(text, at + 1)
  }
}

function isEnd(text: Buffer, at: number): 'object' | 'broken' {
  return skipSpace(text, at) === text.length ? 'object' : 'broken'
}
