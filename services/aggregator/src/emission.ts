// Values on their way to others: read with their revision, produced, and confirmed after the ack. What changed meanwhile
// stays in the list, so the newest value is always either in the log or still to come; Kafka away = the list waits.
import { toMetricMessages } from '@millrace/aggregation/metric-messages'
import type { Emitted, RedisEmit } from '@millrace/aggregation/redis-emit'
import type { WindowValue } from '@millrace/aggregation/window-value'
import { encodeMetric, encodeSession, metricsTopic, sessionsTopic } from '@millrace/contracts'
import type { EmittedRecord, MetricKind, MetricMessage } from '@millrace/contracts'
import type { BoundMetrics } from '@millrace/observability'
import type { ChangedValues } from './changed-values.ts'
import type { EmittedTopics } from './emitted-topics.ts'
import type { LiveProject } from './live-projects.ts'
import type { aggregatorMetrics } from './metrics.ts'
import { toSessionMessage } from './session-message.ts'

export interface EmissionDeps {
  readonly emit: RedisEmit
  readonly topics: EmittedTopics
  readonly changed: ChangedValues
  /** Undefined: not known yet; its windows wait. */
  readonly kindOf: (project: string, metric: string, startMs: number) => MetricKind | undefined
  readonly metrics: BoundMetrics<typeof aggregatorMetrics>
  readonly faults: { at(label: string): void | Promise<void> }
  /** Told what is in the log of final windows, before they are confirmed. */
  readonly onFinal?: (live: LiveProject, windows: readonly WindowValue[]) => Promise<void>
}

/** Names of one page; a window may have 200 values. */
const pageNames = 200
/** Pages of one turn: what changes all the time must not keep the others waiting. */
const maxPages = 20

/**
 * Emits what waits of one project; resolves with whether anything did. Throws PIPE_REDIS_UNAVAILABLE and PIPE_KAFKA_UNAVAILABLE; what was not acknowledged
 * waits on.
 */
export async function emitProject(deps: EmissionDeps, live: LiveProject): Promise<boolean> {
  const windows = await eachPage(
    (offset) => deps.emit.dirty(live.project, live.epoch, pageNames, offset),
    (names) => emitWindows(deps, live, names)
  )
  const sessions = await eachPage(
    (offset) => deps.emit.dirtySessions(live.project, live.epoch, pageNames, offset),
    (names) => emitSessions(deps, live, names)
  )
  return windows || sessions
}

/** `emitPage` answers how many of the names wait no more. Resolves with whether there was any. */
async function eachPage(
  list: (offset: number) => ReturnType<RedisEmit['dirty']>,
  emitPage: (names: readonly string[]) => Promise<number>
): Promise<boolean> {
  let offset = 0
  for (let page = 0; page < maxPages; page++) {
    const reply = await list(offset)
    if (reply.kind !== 'names' || reply.names.length === 0) return page > 0
    offset += reply.names.length - (await emitPage(reply.names))
    if (reply.names.length < pageNames) return true
  }
  return true
}

/** One window or session with its messages; `done` once all of them are in the log. */
interface Outgoing<V> {
  readonly value: V
  readonly emitted: Emitted
  readonly topic: string
  readonly records: readonly EmittedRecord[]
  readonly messages: readonly MetricMessage[]
}

async function emitWindows(deps: EmissionDeps, live: LiveProject, names: readonly string[]): Promise<number> {
  const { emit, changed, kindOf, metrics, faults, onFinal } = deps
  const { project, epoch } = live
  const reply = await emit.windows(project, epoch, names)
  if (reply.kind !== 'values') return 0
  const outgoing = reply.values.flatMap((value): readonly Outgoing<WindowValue>[] => {
    const metric = value.name.slice(0, value.name.indexOf(':'))
    const kind = kindOf(project, metric, value.startMs)
    if (kind === undefined) return []
    const all = toMetricMessages(value, { project, epoch, kind })
    const messages = changed.changedOf(keyOf(project, value.name), all)
    const emitted = { name: value.name, revision: value.revision }
    return [{ value, emitted, topic: metricsTopic(metric), records: messages.map(encodeMetric), messages }]
  })
  const acked = await produce(deps, outgoing)
  for (const { value, messages } of acked) {
    changed.keep(keyOf(project, value.name), messages)
    metrics.emitted.add(messages.length, { what: value.closed ? 'final' : 'provisional' })
  }
  const final = acked.filter(({ value }) => value.closed).map(({ value }) => value)
  if (final.length > 0) await onFinal?.(live, final)
  await faults.at('aggregator.before-confirm')
  await emit.confirmWindows(
    project,
    epoch,
    acked.map(({ emitted }) => emitted)
  )
  return acked.length
}

async function emitSessions(deps: EmissionDeps, live: LiveProject, names: readonly string[]): Promise<number> {
  const { emit, metrics, faults } = deps
  const { project, epoch } = live
  const reply = await emit.sessions(project, epoch, names)
  if (reply.kind !== 'values') return 0
  const topic = sessionsTopic(project)
  const outgoing = reply.values.map((value) => ({
    value,
    emitted: { name: value.sessionId, revision: value.revision },
    topic,
    records: [encodeSession(toSessionMessage(project, epoch, value))],
    messages: []
  }))
  const acked = await produce(deps, outgoing)
  metrics.emitted.add(acked.length, { what: 'session' })
  if (acked.length > 0) await faults.at('aggregator.before-confirm-sessions')
  await emit.confirmSessions(
    project,
    epoch,
    acked.map(({ emitted }) => emitted)
  )
  return acked.length
}

/** Produces the records topic by topic; returns what is in the log as a whole. */
async function produce<V>({ topics }: EmissionDeps, outgoing: readonly Outgoing<V>[]): Promise<readonly Outgoing<V>[]> {
  const byTopic = Map.groupBy(outgoing, ({ topic }) => topic)
  const acked = await Promise.all(
    [...byTopic].map(async ([topic, group]) => {
      const records = group.flatMap((each) => each.records)
      const outcomes = records.length === 0 ? [] : await topics.produce(topic, records)
      let at = 0
      return group.filter((each) => {
        const own = outcomes.slice(at, (at += each.records.length))
        return own.every(({ kind }) => kind === 'acked')
      })
    })
  )
  return acked.flat()
}

function keyOf(project: string, window: string): string {
  return `${project} ${window}`
}
