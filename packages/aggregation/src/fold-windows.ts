// The events of a batch by window and dimension. They are folded by the minute; windows that hold several minutes are put
// together from those at the end, so a batch that lies in one minute is folded once for all granularities.
import { quoteJson } from '@millrace/contracts'
import type { EventRow } from '@millrace/contracts'
import { settleMs } from './close.ts'
import { granularities, toScaled } from './metrics.ts'
import type { Granularity, MetricDefinition, Source } from './metrics.ts'
import type { Timing } from './timing.ts'
import { totalDimension } from './windows.ts'
import type { ValueDelta, WindowDelta } from './windows.ts'

/** Takes rows one by one. */
export interface WindowFold {
  add(row: EventRow): void
  /** Windows of the same events share their list of values. */
  deltas(): readonly WindowDelta[]
  /** Events whose value is no number or too large. */
  badValues(): number
}

/** One dimension; without members it is the delta as it is. */
interface ValueDraft {
  readonly dimension: string
  count: number
  sum: bigint
  min: number | undefined
  max: number | undefined
  readonly distinct: Set<string> | undefined
}

/** What one minute holds of one metric. */
interface Draft {
  events: number
  readonly total: ValueDraft
  /** Without the total; undefined for metrics that are not split. */
  readonly split: Map<string, ValueDraft> | undefined
}

interface Counter {
  readonly metric: MetricDefinition
  /** Of the metric in the list of a minute. */
  readonly index: number
  /** The next version counts from here on. */
  readonly untilMs: number
}

interface Minute {
  readonly startMs: number
  readonly drafts: (Draft | undefined)[]
}

type Properties = Readonly<Record<string, unknown>>
type Read = () => Properties

const minuteMs = granularities['1m'].lengthMs

/** A fold that begins empty. */
export function createWindowFold({
  metrics,
  timing
}: {
  metrics: readonly MetricDefinition[]
  timing: Timing
}): WindowFold {
  const counters = metrics.map((metric, index): Counter => ({ metric, index, untilMs: endOf(metric, metrics) }))
  const byType = new Map<string, readonly Counter[]>()
  const minutes = new Map<number, Minute>()
  let last: Minute | undefined
  let bad = 0
  const forType = (eventType: string): readonly Counter[] => {
    const known = byType.get(eventType)
    if (known !== undefined) return known
    const wanted = counters.filter(({ metric }) => metric.eventTypes?.includes(eventType) ?? true)
    byType.set(eventType, wanted)
    return wanted
  }
  const minuteOf = (timestampMs: number): Minute => {
    const startMs = timestampMs - (timestampMs % minuteMs)
    if (last?.startMs === startMs) return last
    const known = minutes.get(startMs)
    last = known ?? { startMs, drafts: [] }
    if (known === undefined) minutes.set(startMs, last)
    return last
  }
  return {
    add(row) {
      const { drafts } = minuteOf(row.timestamp)
      let properties: Properties | undefined
      const read = (): Properties => (properties ??= parseProperties(row.properties))
      for (const { metric, index } of forType(row.eventType)) {
        if (!isWanted(metric, row, read)) continue
        const value = valueOf(metric, row, read)
        if (value === undefined) continue
        if (value === 'bad') {
          bad++
          continue
        }
        const draft = (drafts[index] ??= newDraft(metric))
        addTo(draft, metric, value, row, read)
      }
    },
    deltas() {
      const all = [...minutes.values()]
      return counters.flatMap((counter) => toDeltas(counter, all, timing))
    },
    badValues: () => bad
  }
}

/** Where a version ends: at the start of the next one of its name. */
function endOf({ name, version }: MetricDefinition, metrics: readonly MetricDefinition[]): number {
  const later = metrics.filter((other) => other.name === name && other.version > version)
  return Math.min(Infinity, ...later.map(({ effectiveFromMs }) => effectiveFromMs))
}

function isWanted({ where }: MetricDefinition, row: EventRow, read: Read): boolean {
  for (const { source, equals } of where) if (textOf(source, row, read) !== equals) return false
  return true
}

/**
 * What an event adds to one metric: a member of a unique count, a scaled number, or `counts` alone. Undefined: it is not
 * counted. `bad`: it would be, but the value is no number or too large.
 */
function valueOf({ measure }: MetricDefinition, row: EventRow, read: Read): Added | 'bad' | undefined {
  if (measure.kind === 'count') return counts
  if (measure.kind === 'unique') {
    const member = measure.of === 'session' ? row.sessionId : userOf(row)
    return member === '' ? undefined : { member }
  }
  // Names are in the text as JSON, so most events without the property need not be parsed.
  if (!row.properties.includes(quoteJson(measure.property))) return undefined
  const raw = read()[measure.property]
  if (raw === undefined || raw === null) return undefined
  const number = toScaled(raw)
  return number === undefined ? 'bad' : { number }
}

interface Added {
  readonly member?: string
  readonly number?: number
}

const counts: Added = {}

function newDraft({ dimensions, measure }: MetricDefinition): Draft {
  const split = dimensions.length === 0 ? undefined : new Map<string, ValueDraft>()
  return { events: 0, total: newValue(totalDimension, measure.kind), split }
}

function newValue(dimension: string, kind: MetricDefinition['measure']['kind']): ValueDraft {
  const distinct = kind === 'unique' ? new Set<string>() : undefined
  return { dimension, count: 0, sum: 0n, min: undefined, max: undefined, distinct }
}

function addTo(draft: Draft, metric: MetricDefinition, added: Added, row: EventRow, read: Read): void {
  const { kind } = metric.measure
  draft.events++
  addValue(draft.total, kind, added)
  if (draft.split === undefined) return
  addValue(valueIn(draft.split, dimensionOf(metric.dimensions, row, read), metric), kind, added)
}

function addValue(value: ValueDraft, kind: MetricDefinition['measure']['kind'], { member, number }: Added): void {
  value.count++
  if (member !== undefined) value.distinct?.add(member)
  if (number === undefined) return
  if (kind === 'sum') value.sum += BigInt(number)
  else if (kind === 'min') value.min = Math.min(value.min ?? number, number)
  else value.max = Math.max(value.max ?? number, number)
}

/** What JSON.stringify makes of the list of their texts. */
function dimensionOf(sources: readonly Source[], row: EventRow, read: Read): string {
  let text = '['
  for (const source of sources) text += `${text === '[' ? '' : ','}${quoteJson(textOf(source, row, read))}`
  return `${text}]`
}

function toDeltas({ metric, index, untilMs }: Counter, minutes: readonly Minute[], timing: Timing): WindowDelta[] {
  const held = minutes.filter(({ drafts }) => drafts[index] !== undefined)
  if (held.length === 0) return []
  const made = new Map<Draft, readonly ValueDelta[]>()
  const valuesOf = (draft: Draft): readonly ValueDelta[] => {
    const values = made.get(draft) ?? toValues(draft)
    made.set(draft, values)
    return values
  }
  return metric.granularities.flatMap((granularity) => {
    const { lengthMs, keepMs } = granularities[granularity]
    return [...byWindow(held, index, granularity)]
      .filter(([startMs]) => startMs >= metric.effectiveFromMs && startMs < untilMs)
      .map(([startMs, drafts]) => {
        const draft = together(drafts, metric)
        return {
          name: `${metric.name}:${granularity}:${startMs}`,
          startMs,
          closeAtMs: startMs + lengthMs + settleMs(timing),
          deleteAtMs: startMs + lengthMs + keepMs,
          events: draft.events,
          cap: metric.cap,
          values: valuesOf(draft)
        }
      })
  })
}

function byWindow(minutes: readonly Minute[], index: number, granularity: Granularity): Map<number, Draft[]> {
  const { lengthMs } = granularities[granularity]
  const windows = new Map<number, Draft[]>()
  for (const { startMs, drafts } of minutes) {
    const draft = drafts[index]
    if (draft === undefined) continue
    const windowMs = startMs - (startMs % lengthMs)
    const known = windows.get(windowMs)
    if (known === undefined) windows.set(windowMs, [draft])
    else known.push(draft)
  }
  return windows
}

/** The drafts of several minutes as one; that of one minute is itself. */
function together(drafts: readonly Draft[], metric: MetricDefinition): Draft {
  const [first] = drafts
  if (first !== undefined && drafts.length === 1) return first
  const sum = newDraft(metric)
  for (const { events, total, split } of drafts) {
    sum.events += events
    mergeValue(sum.total, total)
    if (sum.split === undefined || split === undefined) continue
    for (const value of split.values()) mergeValue(valueIn(sum.split, value.dimension, metric), value)
  }
  return sum
}

function valueIn(split: Map<string, ValueDraft>, dimension: string, { measure }: MetricDefinition): ValueDraft {
  const held = split.get(dimension)
  if (held !== undefined) return held
  const made = newValue(dimension, measure.kind)
  split.set(dimension, made)
  return made
}

function mergeValue(into: ValueDraft, { count, sum, min, max, distinct }: ValueDraft): void {
  into.count += count
  into.sum += sum
  if (min !== undefined) into.min = Math.min(into.min ?? min, min)
  if (max !== undefined) into.max = Math.max(into.max ?? max, max)
  for (const member of distinct ?? []) into.distinct?.add(member)
}

function toValues({ total, split }: Draft): readonly ValueDelta[] {
  const drafts = split === undefined ? [total] : [total, ...split.values()]
  return total.distinct === undefined ? drafts : drafts.map(withMembers)
}

function withMembers({ dimension, count, sum, distinct = new Set() }: ValueDraft): ValueDelta {
  return { dimension, count, sum, members: [...distinct] }
}

/** Users and anonymous ids are told apart, so that one of each with the same text are two. */
function userOf({ userId, anonymousId }: EventRow): string {
  if (userId !== '') return `u${userId}`
  return anonymousId === '' ? '' : `a${anonymousId}`
}

const longestText = 256

/** The text of a column or a plain property, cut at 256 characters; empty when there is none. */
function textOf(source: Source, row: EventRow, read: Read): string {
  const value = source.from === 'column' ? row[source.name] : read()[source.name]
  const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
  return isPlain ? String(value).slice(0, longestText).toWellFormed() : ''
}

function parseProperties(text: string): Properties {
  // oxlint-disable-next-line no-restricted-properties -- the text that `enrich` wrote, an object by its schema
  return text === '{}' ? {} : (JSON.parse(text) as Properties)
}
