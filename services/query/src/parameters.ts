// Values bound to {name:Type}: every name that the query declares needs one, and only values that a type can take.

/** Values by name, or what is wrong with them and where. */
export type BoundParameters =
  | { readonly ok: true; readonly params: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly pointer: string; readonly detail: string }

/** Values go to the engine in a URL, of at most a mebibyte; its quotes and escapes may take as much again. */
const maxBytes = 256 * 1024

/** Checks the values a client sent against the names its query declares. */
export function bindParameters(declared: ReadonlyMap<string, string>, sent: unknown): BoundParameters {
  if (sent !== undefined && (typeof sent !== 'object' || sent === null || Array.isArray(sent))) {
    return { ok: false, pointer: '/params', detail: 'must be an object of values by name' }
  }
  const values = new Map(Object.entries(sent ?? {}))
  const params: Record<string, unknown> = {}
  for (const [name, type] of declared) {
    if (!values.has(name))
      return { ok: false, pointer: `/params/${name}`, detail: `the query binds {${name}:${type}}, no value was sent` }
    const value = values.get(name)
    if (!isBindable(value))
      return {
        ok: false,
        pointer: `/params/${name}`,
        detail: 'must be text, a number, true, false, null, or a list of these'
      }
    params[name] = value
  }
  const detail = tooLong(params)
  return detail === undefined ? { ok: true, params } : { ok: false, pointer: '/params', detail }
}

/** What is wrong with values that take too much of a URL; undefined: nothing. */
export function tooLong(params: Readonly<Record<string, unknown>>): string | undefined {
  const bytes = new URLSearchParams({ params: JSON.stringify(params) }).toString().length
  return bytes > maxBytes ? `values take at most ${maxBytes} bytes in a URL, these ${bytes}` : undefined
}

/** The values of a URL, where everything is text: a list for each that is declared as one, of numbers where it says so. */
export function readTexts(
  declared: ReadonlyMap<string, string>,
  texts: Readonly<Record<string, unknown>>
): Readonly<Record<string, unknown>> {
  const toValue = (name: string, text: unknown): unknown => {
    const type = declared.get(name) ?? ''
    if (!type.startsWith('Array(')) return text
    const items: readonly unknown[] = Array.isArray(text) ? text : [text]
    return /^Array\((?:U?Int|Float)/.test(type) ? items.map((item) => (item === '' ? item : Number(item))) : items
  }
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, toValue(name, text)]))
}

function isBindable(value: unknown): boolean {
  if (Array.isArray(value))
    return value.length <= 10_000 && value.every((item) => !Array.isArray(item) && isBindable(item))
  return value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
}
