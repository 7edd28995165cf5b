// Reads what clients send piece by piece; whatever breaks its rule is told by its place. Pure.
import type { ProblemCode } from '@millrace/contracts'
import { parseJson } from '../json.ts'

/** Something in a question that breaks its rule. `pointer` is an RFC 6901 pointer into it. */
export class WrongInput extends Error {
  readonly pointer: string
  readonly code: ProblemCode
  constructor(pointer: string, message: string, code: ProblemCode = 'invalid_field') {
    super(message)
    this.pointer = pointer
    this.code = code
  }
}

export type Members = Readonly<Record<string, unknown>>

/** An object that has no members but `known`. Throws WrongInput, as all of these do. */
export function readObject(value: unknown, pointer: string, known: readonly string[]): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new WrongInput(pointer, 'must be an object')
  }
  const unknown = Object.keys(value).find((name) => !known.includes(name))
  if (unknown !== undefined) {
    const place = `${pointer}/${unknown.replaceAll('~', '~0').replaceAll('/', '~1').slice(0, 100)}`
    throw new WrongInput(place, `is not known here; known: ${known.join(', ')}`, 'unknown_field')
  }
  // An object without prototype tricks: JSON and query strings make plain ones.
  return value as Members
}

/** A list of `least` to `most` items, each read by `item`. */
export function readList<T>(
  value: unknown,
  pointer: string,
  [least, most]: readonly [number, number],
  item: (each: unknown, pointer: string) => T
): readonly T[] {
  if (!Array.isArray(value) || value.length < least || value.length > most) {
    throw new WrongInput(pointer, `must be a list of ${least} to ${most}`)
  }
  return value.map((each, index) => item(each, `${pointer}/${index}`))
}

/** Longest text of a question. */
export const longestText = 1_000

/** A text of 1 to 1,000 characters. */
export function readText(value: unknown, pointer: string): string {
  if (value === undefined) throw new WrongInput(pointer, 'is required', 'missing_field')
  if (typeof value !== 'string' || value === '' || value.length > longestText) {
    throw new WrongInput(pointer, `must be a text of 1 to ${longestText} characters`)
  }
  return value
}

/** One of `names`; the first of them when it is missing. */
export function readOneOf<T extends string>(value: unknown, pointer: string, names: readonly [T, ...T[]]): T {
  if (value === undefined) return names[0]
  const found = names.find((name) => name === value)
  if (found === undefined) throw new WrongInput(pointer, `must be one of ${names.join(', ')}`)
  return found
}

/** A whole number from 1 to `most`, as a number or, in an address, as text. */
export function readCount(value: unknown, pointer: string, usual: number, most: number): number {
  if (value === undefined) return usual
  const isNumeric = typeof value === 'number' || (typeof value === 'string' && /^\d{1,9}$/.test(value))
  const count = Number(value)
  if (!isNumeric || !Number.isInteger(count) || count < 1 || count > most) {
    throw new WrongInput(pointer, `must be a whole number from 1 to ${most}`)
  }
  return count
}

/** What stands in an address as JSON; undefined when it is missing. */
export function readJson(value: unknown, pointer: string): unknown {
  if (value === undefined) return undefined
  const read = parseJson(String(value))
  if (read === undefined) throw new WrongInput(pointer, 'must be JSON')
  return read
}
