// Metrics as data. A definition never changes: another meaning is another version, which counts windows that start at or
// after its `effectiveFromMs`; windows before that belong to the version before it.
import type { EventRow } from '@millrace/contracts'

export type Granularity = '1m' | '1h'

/** A column of the row, or a member of the properties. */
export type Source =
  | { readonly from: 'column'; readonly name: TextColumn }
  | { readonly from: 'property'; readonly name: string }

/** Columns that a metric may be split by or be filtered on. */
export type TextColumn = {
  [Name in keyof EventRow]: EventRow[Name] extends string ? Name : never
}[keyof EventRow]

export type Measure =
  | { readonly kind: 'count' }
  /** Distinct users (the user id, else the anonymous id) or sessions; approximate, 0.81 % of standard error. */
  | { readonly kind: 'unique'; readonly of: 'user' | 'session' }
  /** Of a number in the properties; an event without one is not counted. */
  | { readonly kind: 'sum' | 'min' | 'max'; readonly property: string }

export interface MetricDefinition {
  readonly name: string
  readonly version: number
  /** Start of an hour; 0 = always. */
  readonly effectiveFromMs: number
  /** Undefined: every type. */
  readonly eventTypes?: readonly string[]
  /** All must hold. */
  readonly where: readonly { readonly source: Source; readonly equals: string }[]
  readonly measure: Measure
  /** At most two; the window holds the total and one value for each combination. */
  readonly dimensions: readonly Source[]
  /** Combinations that are kept apart in a window; those beyond go together. */
  readonly cap: number
  readonly granularities: readonly Granularity[]
}

/** Length of a window, and how long after its end it is kept. */
export const granularities: Readonly<Record<Granularity, { readonly lengthMs: number; readonly keepMs: number }>> = {
  '1m': { lengthMs: 60_000, keepMs: 2 * 3_600_000 },
  '1h': { lengthMs: 3_600_000, keepMs: 26 * 3_600_000 }
}

const column = (name: TextColumn): Source => ({ from: 'column', name })
const everyEvent = { version: 1, effectiveFromMs: 0, where: [], dimensions: [], cap: 0 } as const
const both: readonly Granularity[] = ['1m', '1h']

/**
 * What every project has. `bounce_rate` and `session_duration` are not here: closed sessions make them (sessions.ts).
 * `conversionTypes` are the event types that count as a conversion.
 */
export function builtInMetrics(conversionTypes: readonly string[]): readonly MetricDefinition[] {
  const count = { ...everyEvent, measure: { kind: 'count' }, granularities: both } as const
  const unique = (of: 'user' | 'session') => ({ ...count, measure: { kind: 'unique', of } }) as const
  return [
    { ...count, name: 'events', dimensions: [column('eventType')], cap: 200 },
    { ...unique('user'), name: 'active_users' },
    { ...count, name: 'page_views', eventTypes: [pageView], dimensions: [column('path')], cap: 200 },
    { ...unique('session'), name: 'sessions' },
    { ...count, name: 'conversions', eventTypes: conversionTypes, dimensions: [column('eventType')], cap: 50 },
    { ...count, name: 'revenue', eventTypes: conversionTypes, measure: { kind: 'sum', property: 'revenue' } }
  ]
}

/** Metrics that are another one at one length of window, under the name that people look for. */
export const derivedMetrics: ReadonlyMap<string, { readonly of: string; readonly granularity: '1d' }> = new Map([
  ['daily_active_users', { of: 'active_users', granularity: '1d' }]
])

/** The event type of a page view. */
export const pageView = 'page_view'

/** Sums, minima and maxima are whole numbers of this part of a unit. */
export const valueScale = 1_000_000
/** Values beyond this are not counted: 5,000 of them stay below 2^63 millionths. */
const largestValue = 1_000_000_000

/** A property as a whole number of millionths; undefined when it is no number or too large either way. */
export function toScaled(value: unknown): number | undefined {
  if (typeof value !== 'number' || !(Math.abs(value) <= largestValue)) return undefined
  return Math.round(value * valueScale)
}

/** Millionths as a number: the whole units apart, so that a large sum keeps its parts as long as a number can. */
export function unscaled(sum: bigint): number {
  const scale = BigInt(valueScale)
  return Number(sum / scale) + Number(sum % scale) / valueScale
}
