// A metric over time: windows of the live state as far as they are held whole, the warehouse for what is older. Sums and
// counts of events in time agree on both sides of the seam; distinct members are exact in the warehouse only.
import { kindOfMetric, sessionMetrics, toMetricMessages } from '@millrace/aggregation/metric-messages'
import { derivedMetrics, granularities, valueScale } from '@millrace/aggregation/metrics'
import type { Granularity, MetricDefinition } from '@millrace/aggregation/metrics'
import type { WindowReader, WindowsRead } from '@millrace/aggregation/window-reader'
import { totalDimension } from '@millrace/aggregation/windows'
import type { WindowValue } from '@millrace/aggregation/window-value'
import type { MetricKind } from '@millrace/contracts'
import { AppError, isTransient } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { DailyMetric, DaysWanted } from '@millrace/operations/daily-metrics'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { unknownPoint, windowLengths } from './metric-answer.ts'
import type { MetricAnswer, MetricPoint, MetricQuestion } from './metric-answer.ts'
import { absentWindow, countStarts, liveFrom, startsIn } from './seam.ts'
import { metricQuery, sessionQuery } from './warehouse-query.ts'
import type { Span } from './warehouse-query.ts'

export interface MetricReaderDeps {
  readonly windows: WindowReader
  readonly clickhouse: Pick<Clickhouse, 'rows'>
  /** Age of the oldest rows that `clickhouse` gave so far: windows are judged as of then. Default: none, rows are of now. */
  readonly rowsAgeMs?: () => number
  /** Windows of one value from the warehouse, for whoever asks for many values at once; default: a question for each. */
  readonly storedOf?: (
    version: MetricDefinition,
    span: Span,
    dimension: readonly string[]
  ) => Promise<readonly StoredRow[]>
  /** What a project counts: built in and its own, all versions. Throws what reading them throws. */
  readonly definitionsOf: (project: string) => Promise<readonly MetricDefinition[]>
  /** Days that were written down. */
  readonly daysOf: (wanted: DaysWanted) => Promise<readonly DailyMetric[]>
  /** Event types that count as a conversion. */
  readonly conversionTypes: readonly string[]
  readonly clock: Clock
  /** An event later than this does not change a live window (LATENESS_MS of the aggregator). */
  readonly latenessMs: number
}

/** Points of one answer at most. */
const maxPoints = 10_000

/** What is asked for, with what it means. */
export interface Asked extends MetricQuestion {
  readonly kind: MetricKind
  /** By version; empty for the metrics of sessions. */
  readonly versions: readonly MetricDefinition[]
  readonly starts: readonly number[]
  readonly lengthMs: number
  readonly nowMs: number
  readonly latenessMs: number
}

/** How long after its end a window may still change; sessions of an hour end up to a day later. */
export function settleMs({ kind, latenessMs }: Pick<Asked, 'kind' | 'latenessMs'>): number {
  return latenessMs + 5_000 + (kind === 'ratio' ? windowLengths['1d'] : 0)
}

/**
 * Reads a metric. One of the two sources may be away: what it alone knows is null then. Throws PIPE_NOT_FOUND for an
 * unknown metric, PIPE_INVALID_INPUT for a question that it cannot answer, PIPE_CLICKHOUSE_UNAVAILABLE when nothing is
 * known.
 */
export async function readMetric(deps: MetricReaderDeps, question: MetricQuestion): Promise<MetricAnswer> {
  const derived = derivedMetrics.get(question.metric)
  if (derived === undefined) return await readPlain(deps, question)
  // A project may have had a metric of that name before it was taken.
  const own = (await deps.definitionsOf(question.project)).some(({ name }) => name === question.metric)
  if (own) return await readPlain(deps, question)
  if (question.granularity !== derived.granularity)
    throw invalid(`'${question.metric}' is kept at ${derived.granularity}, not at ${question.granularity}`)
  return { ...(await readPlain(deps, { ...question, metric: derived.of })), metric: question.metric }
}

async function readPlain(deps: MetricReaderDeps, question: MetricQuestion): Promise<MetricAnswer> {
  const asked = await understand(deps, question)
  const { metric, granularity, dimension, starts } = asked
  const live = await readLive(deps, asked)
  const notLive = starts.filter((start) => !live.has(start))
  const days = granularity === '1d' ? await readKeptDays(deps, asked, notLive) : new Map<number, MetricPoint>()
  const missing = notLive.filter((start) => !days.has(start))
  const stored = new Map([...days, ...(await readStored(deps, asked, missing, live.size + days.size))])
  const data = starts.map((start) => live.get(start) ?? stored.get(start) ?? unknownPoint(start))
  const source = stored.size === 0 && live.size > 0 ? 'live' : live.size === 0 ? 'warehouse' : 'mixed'
  return { metric, granularity, ...(dimension === undefined ? {} : { dimension }), data, source }
}

async function understand(deps: MetricReaderDeps, question: MetricQuestion): Promise<Asked> {
  const { project, metric, granularity, fromMs, toMs, dimension } = question
  const isSession = sessionMetrics.includes(metric)
  const versions = isSession ? [] : (await deps.definitionsOf(project)).filter(({ name }) => name === metric)
  const latest = versions.at(-1)
  if (latest === undefined && !isSession) throw new AppError('PIPE_NOT_FOUND', `'${project}' has no metric '${metric}'`)
  const kept = isSession ? (['1h'] as const) : (latest?.granularities ?? [])
  if (granularity !== '1d' && !kept.some((each) => each === granularity))
    throw invalid(`'${metric}' is kept at ${kept.join(' and ')}, not at ${granularity}`)
  requireDimensions(metric, latest, dimension)
  const lengthMs = windowLengths[granularity]
  const nowMs = deps.clock.now()
  if (!(fromMs < toMs)) throw invalid('a span of time ends after it begins')
  // A list of them is made when it is known to be short.
  const count = countStarts(fromMs, toMs, lengthMs, nowMs)
  if (count > maxPoints) throw invalid(`${count} windows of ${granularity}; at most ${maxPoints} at once`)
  const starts = startsIn(fromMs, toMs, lengthMs, nowMs)
  return { ...question, kind: kindOfMetric(latest), versions, starts, lengthMs, nowMs, latenessMs: deps.latenessMs }
}

/** Throws PIPE_INVALID_INPUT when `dimension` is not one text for each dimension that the metric has. */
export function requireDimensions(
  metric: string,
  latest: MetricDefinition | undefined,
  dimension: readonly string[] | undefined
): void {
  const names = latest?.dimensions ?? []
  if (dimension !== undefined && dimension.length !== names.length)
    throw invalid(
      `'${metric}' has ${names.length} dimensions${names.map(({ name }) => ` ${name}`).join(',')}; give one text for each`
    )
}

/** The windows that the live state answers, by start; none when Redis is away. */
async function readLive(deps: MetricReaderDeps, asked: Asked): Promise<ReadonlyMap<number, MetricPoint>> {
  const { project, metric, granularity, dimension, starts, lengthMs, versions, kind } = asked
  const base: Granularity = granularity === '1d' ? '1h' : granularity
  // Distinct members of hours do not add up to those of a day.
  const isAnswered = granularity !== '1d' || (kind !== 'unique' && hasHours(asked))
  const first = starts[0]
  if (!isAnswered || first === undefined) return new Map()
  const { lengthMs: baseMs, keepMs } = granularities[base]
  const heldFromMs = Math.max(first, Math.floor((asked.nowMs - keepMs - 2 * lengthMs) / lengthMs) * lengthMs)
  const bases = startsIn(heldFromMs, (starts.at(-1) ?? 0) + lengthMs, baseMs, asked.nowMs)
  const shown = dimension === undefined ? totalDimension : JSON.stringify(dimension)
  const names = bases.map((start) => `${metric}:${base}:${start}`)
  const read = await deps.windows.read(project, names, [shown]).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'PIPE_REDIS_UNAVAILABLE') return undefined
    throw error
  })
  if (read === undefined) return new Map()
  const fromMs = liveFrom(read, base, versions[0]?.effectiveFromMs ?? 0)
  const points = new Map<number, MetricPoint>()
  for (const start of starts) {
    if (start < Math.max(fromMs, heldFromMs)) continue
    const windows = bases.filter((each) => each >= start && each < start + lengthMs)
    points.set(
      start,
      livePoint(
        asked,
        start,
        read,
        windows.map((each) => read.windows.get(`${metric}:${base}:${each}`))
      )
    )
  }
  return points
}

function hasHours({ versions }: Asked): boolean {
  return versions.every((version) => version.granularities.includes('1h'))
}

/** One point of the windows that it is made of: one window, or the hours of a day. */
function livePoint(
  asked: Asked,
  startMs: number,
  read: WindowsRead,
  windows: readonly (WindowValue | undefined)[]
): MetricPoint {
  const { project, kind, dimension, lengthMs } = asked
  const shown = dimension === undefined ? undefined : JSON.stringify(dimension)
  const found = windows.filter((window) => window !== undefined)
  const messages = found.flatMap((window) =>
    toMetricMessages(window, { project, epoch: read.epoch, kind }).filter((message) => message.dimension === shown)
  )
  const isOver = startMs + lengthMs <= read.clockMs
  const isCapped = shown !== undefined && found.some(({ capped }) => capped)
  const state = { provisional: !(isOver && found.every(({ closed }) => closed)), complete: isOver && !isCapped }
  if (messages.length === 0) {
    const absent = absentWindow(startMs, lengthMs, read.clockMs)
    if (found.length === 0 && absent === 'unknown') return unknownPoint(startMs)
    // Nobody closes a window that was never written; it is final when those around it are.
    const closesAtMs = startMs + lengthMs + settleMs(asked)
    const provisional = found.length > 0 ? state.provisional : read.clockMs < closesAtMs
    return { timestampMs: startMs, ...zeroOf(kind), ...state, provisional }
  }
  const count = messages.reduce((sum, message) => sum + message.count, 0)
  if (kind === 'ratio') {
    const numerator = messages.reduce((sum, message) => sum + (message.numerator ?? 0), 0)
    return { timestampMs: startMs, ...ratioOf(numerator, count), ...state }
  }
  const values = messages.map(({ value }) => value)
  const value = kind === 'min' ? Math.min(...values) : kind === 'max' ? Math.max(...values) : sumOf(values)
  return { timestampMs: startMs, value, count, ...usersOf(asked, value), ...state }
}

/**
 * Days that were written down: counts of the warehouse, and live ones that were closed when the project's clock passed
 * them. None when PostgreSQL is away.
 */
async function readKeptDays(
  deps: MetricReaderDeps,
  asked: Asked,
  missing: readonly number[]
): Promise<ReadonlyMap<number, MetricPoint>> {
  const { project, metric, dimension, kind, lengthMs } = asked
  if (missing.length === 0) return new Map()
  const [fromMs = 0] = missing
  const toMs = (missing.at(-1) ?? 0) + lengthMs
  const dimensionValue = dimension === undefined ? '' : JSON.stringify(dimension)
  try {
    const rows = await deps.daysOf({ projectId: project, metric, fromMs, toMs, dimensionValue })
    const { clockMs } = await deps.windows.read(project, [])
    const isClosed = (dayMs: number): boolean => dayMs + lengthMs + settleMs(asked) + writtenMs <= clockMs
    const kept = rows.filter(({ source, dayMs }) => source === 'warehouse' || isClosed(dayMs))
    return new Map(
      kept.map(({ dayMs, value, denominator = 0, count, capped }): [number, MetricPoint] => {
        const shown = kind === 'ratio' ? ratioOf(value, denominator) : { value, count, ...usersOf(asked, value) }
        const complete = !(capped && dimension !== undefined)
        return [dayMs, { timestampMs: dayMs, ...shown, provisional: false, complete }]
      })
    )
  } catch (error) {
    if (isTransient(error)) return new Map()
    throw error
  }
}

/** A day is written some moments after its last hour closed. */
const writtenMs = 60_000

/** One window of the warehouse. */
export interface StoredRow {
  readonly start: string
  readonly count: string
  readonly value: string
}

/** The windows `missing` from the warehouse; empty when it is away and the live state knows something. */
async function readStored(
  deps: MetricReaderDeps,
  asked: Asked,
  missing: readonly number[],
  known: number
): Promise<ReadonlyMap<number, MetricPoint>> {
  if (missing.length === 0) return new Map()
  try {
    const points = new Map<number, MetricPoint>()
    for (const { version, fromMs, toMs } of spansOf(asked, missing)) {
      const span = { project: asked.project, fromMs, toMs, lengthMs: asked.lengthMs }
      const rows = await rowsOf(deps, asked, version, span)
      const byStart = new Map(rows.map((row) => [Number(row.start), row]))
      for (const start of missing) {
        if (start >= fromMs && start < toMs) points.set(start, storedPoint(deps, asked, start, byStart.get(start)))
      }
    }
    return points
  } catch (error) {
    if (known === 0 || !(error instanceof AppError) || error.code !== 'PIPE_CLICKHOUSE_UNAVAILABLE') throw error
    return new Map()
  }
}

async function rowsOf(
  { clickhouse, conversionTypes, storedOf }: MetricReaderDeps,
  { metric, dimension }: Asked,
  version: MetricDefinition | undefined,
  span: Span
): Promise<readonly StoredRow[]> {
  if (storedOf !== undefined && version !== undefined && dimension !== undefined)
    return await storedOf(version, span, dimension)
  const { sql, params } =
    version === undefined ? sessionQuery(metric, span, conversionTypes) : metricQuery(version, span, dimension)
  return await clickhouse.rows<StoredRow>(sql, params)
}

/** The spans of `missing` that one version of the metric counts; what is older than the first counts by the first. */
function spansOf(
  { versions, lengthMs }: Asked,
  missing: readonly number[]
): readonly { version: MetricDefinition | undefined; fromMs: number; toMs: number }[] {
  const fromMs = missing[0] ?? 0
  const toMs = (missing.at(-1) ?? 0) + lengthMs
  if (versions.length === 0) return [{ version: undefined, fromMs, toMs }]
  const align = (ms: number): number => Math.ceil(ms / lengthMs) * lengthMs
  return versions.flatMap((version, index) => {
    const next = versions[index + 1]
    const begins = index === 0 ? fromMs : Math.max(fromMs, align(version.effectiveFromMs))
    const ends = next === undefined ? toMs : Math.min(toMs, align(next.effectiveFromMs))
    return begins < ends ? [{ version, fromMs: begins, toMs: ends }] : []
  })
}

function storedPoint(
  { rowsAgeMs }: MetricReaderDeps,
  asked: Asked,
  startMs: number,
  row: StoredRow | undefined
): MetricPoint {
  const { kind, lengthMs } = asked
  const endMs = startMs + lengthMs
  const asOfMs = asked.nowMs - (rowsAgeMs?.() ?? 0)
  const state = { provisional: endMs + settleMs(asked) > asOfMs, complete: endMs <= asOfMs }
  if (row === undefined) return { timestampMs: startMs, ...zeroOf(kind), ...state }
  const count = Number(row.count)
  if (kind === 'ratio') return { timestampMs: startMs, ...ratioOf(Number(row.value), count), ...state }
  const isScaled = kind === 'sum' || kind === 'min' || kind === 'max'
  const value = isScaled ? Number(row.value) / valueScale : Number(row.value)
  return { timestampMs: startMs, value, count, ...usersOf(asked, value), ...state }
}

/** Without events a count or sum is 0; there is no least value and no rate. */
function zeroOf(kind: MetricKind): Pick<MetricPoint, 'value' | 'count' | 'numerator' | 'denominator'> {
  if (kind === 'ratio') return ratioOf(0, 0)
  return { value: kind === 'min' || kind === 'max' ? null : 0, count: 0 }
}

function ratioOf(numerator: number, denominator: number) {
  return { value: denominator === 0 ? null : numerator / denominator, count: denominator, numerator, denominator }
}

function usersOf({ versions }: Asked, value: number): Pick<MetricPoint, 'uniqueUsers'> {
  const measure = versions.at(-1)?.measure
  return measure?.kind === 'unique' && measure.of === 'user' ? { uniqueUsers: value } : {}
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}

function invalid(message: string): AppError {
  return new AppError('PIPE_INVALID_INPUT', message)
}
