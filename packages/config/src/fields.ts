// A setting is declared once: its type, rule, default and sentence. Loading, docs and .env.example come from it.

/** How one environment variable is read. `T` is the type of its value after loading. */
export interface Field<T> {
  readonly doc: string
  /** What the reference prints as type, such as `int 1..65535`. */
  readonly type: string
  /** Undefined = required. */
  readonly default?: T | undefined
  /** Never printed, neither in errors nor in docs. */
  readonly secret: boolean
  /** The value of `raw`, or a sentence that says what is wrong with it. */
  parse(raw: string): { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string }
}

/** A service's settings by environment variable name. */
export type Spec = Readonly<Record<string, Field<unknown>>>

/** The values of a spec after loading. */
export type ConfigOf<S extends Spec> = { readonly [K in keyof S]: S[K] extends Field<infer T> ? T : never }

interface Common<T> {
  readonly doc: string
  readonly default?: T
}

interface Range {
  readonly min?: number
  readonly max?: number
}

const ok = <T>(value: T) => ({ ok: true, value }) as const
const bad = (problem: string) => ({ ok: false, problem }) as const

/** Any text; with `pattern`, text that matches it. An empty string counts as unset. */
export function str(options: Common<string> & { pattern?: RegExp; secret?: boolean }): Field<string> {
  const { pattern } = options
  return {
    doc: options.doc,
    type: pattern === undefined ? 'text' : `text ${pattern.source}`,
    default: options.default,
    secret: options.secret ?? false,
    parse: (raw) => (pattern === undefined || pattern.test(raw) ? ok(raw) : bad(`must match ${pattern.source}`))
  }
}

/** Text that is never printed. */
export function secret(options: Common<string>): Field<string> {
  return { ...str({ ...options, secret: true }), type: 'secret' }
}

/** A URL of one of `protocols`, each with its colon (`redis:`); kept as text. Its password is never printed. */
export function url(options: Common<string> & { protocols: readonly string[] }): Field<string> {
  return {
    doc: options.doc,
    type: `url ${options.protocols.join(' ')}`,
    default: options.default,
    secret: true,
    parse: (raw) =>
      isUrlOf(options.protocols, raw)
        ? ok(raw)
        : bad(`must be a URL that starts with one of ${options.protocols.join(', ')}`)
  }
}

/** Comma-separated URLs of `protocols`; a comma inside of one is written `%2C`. Their passwords are never printed. */
export function urls(options: Common<readonly string[]> & { protocols: readonly string[] }): Field<readonly string[]> {
  const words = list(options)
  return {
    ...words,
    type: `urls ${options.protocols.join(' ')}`,
    secret: true,
    parse: (raw) => {
      const parsed = words.parse(raw)
      return !parsed.ok || parsed.value.every((each) => isUrlOf(options.protocols, each))
        ? parsed
        : bad(`must be comma-separated URLs that start with one of ${options.protocols.join(', ')}`)
    }
  }
}

function isUrlOf(protocols: readonly string[], text: string): boolean {
  const protocol = /^([a-z0-9+.-]+:)\/\//i.exec(text)?.[1]
  return protocol !== undefined && protocols.includes(protocol)
}

/** A whole number in a range. */
export function int(options: Common<number> & Range): Field<number> {
  return numeric(options, 'int', (raw) => (/^-?\d+$/.test(raw) ? Number(raw) : Number.NaN), 'must be a whole number')
}

/** Milliseconds, written plain or with a unit: `250`, `250ms`, `5s`, `10m`, `24h`, `7d`. */
export function ms(options: Common<number> & Range): Field<number> {
  const factors: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  return numeric(options, 'ms', (raw) => withUnit(raw, factors, 'ms'), 'must be a duration such as 250ms, 5s, 10m, 24h')
}

/** Bytes, written plain or with a unit: `1024`, `512KiB`, `128MiB`, `1GiB`. */
export function bytes(options: Common<number> & Range): Field<number> {
  const factors: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }
  return numeric(options, 'bytes', (raw) => withUnit(raw, factors, 'B'), 'must be a size such as 512KiB, 128MiB, 1GiB')
}

/** `true` or `false`. */
export function bool(options: Common<boolean>): Field<boolean> {
  return {
    doc: options.doc,
    type: 'true|false',
    default: options.default,
    secret: false,
    parse: (raw) => (raw === 'true' ? ok(true) : raw === 'false' ? ok(false) : bad('must be true or false'))
  }
}

/** One of a closed set of words. */
export function oneOf<const T extends string>(options: Common<T> & { values: readonly T[] }): Field<T> {
  return {
    doc: options.doc,
    type: options.values.join('|'),
    default: options.default,
    secret: false,
    parse: (raw) => {
      const value = options.values.find((candidate) => candidate === raw)
      return value === undefined ? bad(`must be one of ${options.values.join(', ')}`) : ok(value)
    }
  }
}

/** Comma-separated words, at least `min` of them. */
export function list(options: Common<readonly string[]> & { min?: number }): Field<readonly string[]> {
  const min = options.min ?? 0
  return {
    doc: options.doc,
    type: 'a,b,c',
    default: options.default,
    secret: false,
    parse: (raw) => {
      const words = raw
        .split(',')
        .map((word) => word.trim())
        .filter((word) => word !== '')
      return words.length < min ? bad(`needs at least ${min} comma-separated value(s)`) : ok(words)
    }
  }
}

function numeric(
  options: Common<number> & Range,
  name: string,
  read: (raw: string) => number,
  rule: string
): Field<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = options
  const bounded = options.min !== undefined || options.max !== undefined
  return {
    doc: options.doc,
    type: bounded ? `${name} ${min}..${options.max ?? ''}` : name,
    default: options.default,
    secret: false,
    parse: (raw) => {
      const value = read(raw)
      if (!Number.isSafeInteger(value)) return bad(rule)
      return value < min || value > max ? bad(`must be between ${min} and ${max}`) : ok(value)
    }
  }
}

function withUnit(raw: string, factors: Readonly<Record<string, number>>, plain: string): number {
  const match = /^(\d+)\s*([A-Za-z]*)$/.exec(raw)
  if (match === null) return Number.NaN
  const factor = factors[match[2] === '' ? plain : (match[2] ?? '')]
  return factor === undefined ? Number.NaN : Number(match[1]) * factor
}
