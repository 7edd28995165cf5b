// Texts from outside (replies, storage) as values. The only reader of JSON here.

/** The value of a JSON text; undefined when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The members of `value`; none when it is not an object. */
export function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  // An object has members of unknown type; an array has no named ones.
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** `value` when it is a text, else undefined. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Bytes of `text` as UTF-8. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length
}
