// The events of a batch by window and dimension.
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
  deltas(): readonly WindowDelta[]
  /** Events whose value is no number or too large. */
  badValues(): number
}

interface ValueDraft {
  count: number
  sum: bigint
  min: number | undefined
  max: number | undefined
  readonly members: Set<string>
}

interface WindowDraft {
  readonly startMs: number
  events: number
  readonly values: Map<string, ValueDraft>
}

/** One definition at one granularity, with its windows by start. */
interface Lane {
  readonly metric: MetricDefinition
  /** The next version counts from here on. */
  readonly untilMs: number
  readonly granularity: Granularity
  readonly windows: Map<number, WindowDraft>
}

/** What an event counts for in one metric. */
interface Share {
  readonly dimension: string | undefined
  readonly value: number | undefined
  readonly member: string | undefined
}

type Properties = Readonly<Record<string, unknown>>

/** A fold that begins empty. */
export function createWindowFold({
  metrics,
  timing
}: {
  metrics: readonly MetricDefinition[]
  timing: Timing
}): WindowFold {
  const byMetric = metrics.map((metric) => {
    const untilMs = endOf(metric, metrics)
    const lanes = metric.granularities.map((granularity): Lane => ({
      metric,
      untilMs,
      granularity,
      windows: new Map()
    }))
    return { metric, lanes }
  })
  const byType = new Map<string, typeof byMetric>()
  let bad = 0
  const forType = (eventType: string): typeof byMetric => {
    const known = byType.get(eventType)
    if (known !== undefined) return known
    const wanted = byMetric.filter(({ metric }) => metric.eventTypes?.includes(eventType) ?? true)
    byType.set(eventType, wanted)
    return wanted
  }
  return {
    add(row) {
      let properties: Properties | undefined
      const read = (): Properties => (properties ??= parseProperties(row.properties))
      for (const { metric, lanes } of forType(row.eventType)) {
        const share = shareOf(metric, row, read)
        if (share === 'bad') bad++
        else if (share !== undefined) for (const lane of lanes) addTo(lane, row.timestamp, share)
      }
    },
    deltas: () => byMetric.flatMap(({ lanes }) => lanes.flatMap((lane) => toDeltas(lane, timing))),
    badValues: () => bad
  }
}

/** Where a version ends: at the start of the next one of its name. */
function endOf({ name, version }: MetricDefinition, metrics: readonly MetricDefinition[]): number {
  const later = metrics.filter((other) => other.name === name && other.version > version)
  return Math.min(Infinity, ...later.map(({ effectiveFromMs }) => effectiveFromMs))
}

/** Undefined: the metric does not count the event. `bad`: it would, but the value is no number or too large. */
function shareOf(metric: MetricDefinition, row: EventRow, read: () => Properties): Share | 'bad' | undefined {
  for (const { source, equals } of metric.where) if (textOf(source, row, read) !== equals) return undefined
  const { measure, dimensions } = metric
  let value: number | undefined
  let member: string | undefined
  if (measure.kind === 'unique') {
    member = measure.of === 'session' ? row.sessionId : userOf(row)
    if (member === '') return undefined
  } else if (measure.kind !== 'count') {
    const raw = read()[measure.property]
    if (raw === undefined || raw === null) return undefined
    value = toScaled(raw)
    if (value === undefined) return 'bad'
  }
  if (dimensions.length === 0) return { dimension: undefined, value, member }
  return { dimension: JSON.stringify(dimensions.map((source) => textOf(source, row, read))), value, member }
}

function addTo({ metric, untilMs, granularity, windows }: Lane, timestampMs: number, share: Share): void {
  const startMs = timestampMs - (timestampMs % granularities[granularity].lengthMs)
  if (startMs < metric.effectiveFromMs || startMs >= untilMs) return
  const held = windows.get(startMs)
  const draft = held ?? { startMs, events: 0, values: new Map<string, ValueDraft>() }
  if (held === undefined) windows.set(startMs, draft)
  draft.events++
  addValue(draft, totalDimension, metric, share)
  if (share.dimension !== undefined) addValue(draft, share.dimension, metric, share)
}

function addValue({ values }: WindowDraft, dimension: string, { measure }: MetricDefinition, share: Share): void {
  const held = values.get(dimension)
  const draft = held ?? { count: 0, sum: 0n, min: undefined, max: undefined, members: new Set<string>() }
  if (held === undefined) values.set(dimension, draft)
  draft.count++
  if (share.member !== undefined) draft.members.add(share.member)
  if (share.value === undefined) return
  if (measure.kind === 'sum') draft.sum += BigInt(share.value)
  else if (measure.kind === 'min') draft.min = Math.min(draft.min ?? share.value, share.value)
  else draft.max = Math.max(draft.max ?? share.value, share.value)
}

function toDeltas({ metric, granularity, windows }: Lane, timing: Timing): readonly WindowDelta[] {
  const { lengthMs, keepMs } = granularities[granularity]
  return [...windows.values()].map(({ startMs, events, values }) => ({
    name: `${metric.name}:${granularity}:${startMs}`,
    startMs,
    closeAtMs: startMs + lengthMs + settleMs(timing),
    deleteAtMs: startMs + lengthMs + keepMs,
    events,
    cap: metric.cap,
    values: [...values].map(([dimension, draft]) => toValue(dimension, draft))
  }))
}

function toValue(dimension: string, { count, sum, min, max, members }: ValueDraft): ValueDelta {
  return {
    dimension,
    count,
    sum,
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(members.size === 0 ? {} : { members: [...members] })
  }
}

/** Users and anonymous ids are told apart, so that one of each with the same text are two. */
function userOf({ userId, anonymousId }: EventRow): string {
  if (userId !== '') return `u${userId}`
  return anonymousId === '' ? '' : `a${anonymousId}`
}

const longestText = 256

/** The text of a column or a plain property, cut at 256 characters; empty when there is none. */
function textOf(source: Source, row: EventRow, read: () => Properties): string {
  const value = source.from === 'column' ? row[source.name] : read()[source.name]
  const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
  return isPlain ? String(value).slice(0, longestText).toWellFormed() : ''
}

function parseProperties(text: string): Properties {
  // oxlint-disable-next-line no-restricted-properties -- the text that `enrich` wrote, an object by its schema
  return text === '{}' ? {} : (JSON.parse(text) as Properties)
}
