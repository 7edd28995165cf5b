// A window as readers see it: what a script answers of it, typed. Sums are carried together, distinct members are counts.
import { revisionOf } from './windows.ts'

/** One dimension of a window. */
export interface WindowShare {
  /** Events folded in: the value of a count, the denominator of a ratio. */
  readonly count: number
  /** In millionths (`valueScale`); of a ratio the numerator as it is. */
  readonly sum: bigint
  readonly min: number | undefined
  readonly max: number | undefined
  /** Distinct members, approximate (0.81 % of standard error); undefined for a metric that counts none. */
  readonly unique: number | undefined
}

export interface WindowValue {
  /** `<metric>:<granularity>:<start>` */
  readonly name: string
  readonly startMs: number
  readonly events: number
  readonly closed: boolean
  readonly capped: boolean
  /** Orders the values of this window inside an epoch. */
  readonly revision: number
  /** By dimension (windows.ts): `totalDimension`, `otherDimension`, or the JSON array of its texts. */
  readonly values: ReadonlyMap<string, WindowShare>
}

/**
 * Reads the fields of a window and the counts of its HyperLogLogs, both as flat pairs. Undefined for a window that is
 * not there.
 */
export function toWindowValue(
  name: string,
  flat: readonly string[],
  uniques: readonly unknown[]
): WindowValue | undefined {
  if (flat.length === 0) return undefined
  const values = new Map<string, Share>()
  const head = new Map<string, string>()
  for (let index = 0; index < flat.length; index += 2) {
    const field = flat[index] ?? ''
    const value = flat[index + 1] ?? ''
    const member = memberOf[field.charAt(0)]
    if (member === undefined) head.set(field, value)
    else member(shareOf(values, field.slice(1)), value)
  }
  for (let index = 0; index < uniques.length; index += 2) {
    shareOf(values, String(uniques[index])).unique = Number(uniques[index + 1])
  }
  const state = { events: Number(head.get('n') ?? 0), closed: head.get('x') === '1' }
  const startMs = startOfWindow(name)
  return { name, startMs, ...state, capped: head.get('o') === '1', revision: revisionOf(state), values }
}

/** When the window of this name begins. */
export function startOfWindow(name: string): number {
  return Number(name.slice(name.lastIndexOf(':') + 1))
}

interface Share {
  count: number
  sum: bigint
  min: number | undefined
  max: number | undefined
  unique: number | undefined
}

/** The fields of a dimension by their first letter (keys.ts); those of the window itself have other letters. */
const memberOf: Readonly<Record<string, (share: Share, value: string) => void>> = {
  c: (share, value) => void (share.count = Number(value)),
  h: (share, value) => void (share.sum += BigInt(value) << 40n),
  l: (share, value) => void (share.sum += BigInt(value)),
  m: (share, value) => void (share.min = Number(value)),
  M: (share, value) => void (share.max = Number(value)),
  u: () => undefined
}

function shareOf(values: Map<string, Share>, dimension: string): Share {
  const held = values.get(dimension)
  if (held !== undefined) return held
  const made: Share = { count: 0, sum: 0n, min: undefined, max: undefined, unique: undefined }
  values.set(dimension, made)
  return made
}
