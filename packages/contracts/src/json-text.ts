// Looks into JSON that `enrich` has written: small questions of sinks that store it as text.

/**
 * The member `name` of the object in `json` when it is a text, else undefined. `json` must be the JSON of an object, as
 * the column `properties` is.
 */
export function textMember(json: string, name: string): string | undefined {
  if (!json.includes(`${JSON.stringify(name)}:`)) return undefined
  const value = (JSON.parse(json) as Readonly<Record<string, unknown>>)[name]
  return typeof value === 'string' ? value : undefined
}

/**
 * `json` without what many stores refuse inside of JSON: escapes of U+0000 and of half surrogate pairs, in names and
 * values, become U+FFFD. Other text is returned as it is. Its nesting must be one that a recursive function bears.
 */
export function toStorableJson(json: string): string {
  return refusedEscapes.test(json) ? JSON.stringify(cleanValue(JSON.parse(json))) : json
}

const refusedEscapes = /\\u(?:0000|d[89a-f])/i

function cleanText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD')
}

function cleanValue(value: unknown): unknown {
  if (typeof value === 'string') return cleanText(value)
  if (Array.isArray(value)) return value.map(cleanValue)
  if (typeof value !== 'object' || value === null) return value
  // JSON.parse makes own members of `__proto__`; fromEntries keeps them so.
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [cleanText(key), cleanValue(member)]))
}
