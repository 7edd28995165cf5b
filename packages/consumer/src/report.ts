// What the loop tells: series and log lines. No decision is made here.
import { errorFieldsOf } from './error-fields.ts'
import { bindMetrics } from '@millrace/observability'
import type { Logger } from '@millrace/observability'
import type { Outcome } from '@millrace/kernel'
import type { RecordBatch, TopicPartition } from '@millrace/kafka'
import type { ConsumerDef, ConsumerDeps } from './definition.ts'
import type { Flush, Undelivered } from './flush.ts'
import { laneStates } from './lane-state.ts'
import type { Entry, Lane } from './lane.ts'
import { consumerMetrics } from './metrics.ts'
import type { LetterFate } from './send-letters.ts'
import type { Storm } from './storm-guard.ts'

/** Names of what a batch waits for. Closed: a metric label. */
export type WaitStep = 'letters' | 'handle' | 'commit' | 'start'

/** Everything the loop reports. */
export type Report<Item> = ReturnType<typeof createReport<Item>>

/** Binds the series of the group and names the log lines. */
export function createReport<Item>(def: ConsumerDef<Item>, deps: ConsumerDeps) {
  const { group } = def
  const metrics = bindMetrics(consumerMetrics, deps.registry)
  const log: Logger = deps.log.child({ consumer: def.name, group })
  const received = metrics.received.child({ group })
  const lagged = new Set<number>()
  metrics.stopped.set(0, { group })

  const countDrop = (reason: string, intentional: boolean, count = 1): void =>
    metrics.dropped.add(count, { reason, intentional: String(intentional) })

  return {
    log,
    taken(batch: RecordBatch, repeated: number): void {
      received(batch.records.length - repeated)
      if (repeated > 0) metrics.redelivered.add(repeated, { group })
    },
    assigned(partitions: readonly TopicPartition[]): void {
      metrics.rebalances.add(1, { group })
      log.info({ partitions: partitions.length }, 'assigned')
    },
    lost(why: string, lanes: number, discarded: number): void {
      if (discarded > 0) metrics.discarded.add(discarded, { group })
      if (lanes > 0) log.info({ why, lanes, discarded }, 'lanes fenced')
    },
    cut(flush: Flush<Item>): void {
      const rows = flush.parts.reduce((sum, { entries }) => sum + entries.length, 0)
      metrics.flushes.add(1, { group, reason: flush.reason })
      metrics.batchRows.observe(rows, { group })
      log.debug({ rows, lanes: flush.parts.length, reason: flush.reason }, 'batch cut')
    },
    handled: (seconds: number): void => metrics.handleSeconds.observe(seconds, { group }),
    /** The outcomes of a part's records, once each. */
    settled(entries: readonly Entry<Item>[], outcomes: ReadonlyMap<Entry<Item>, Outcome>): void {
      const counts = { done: 0, skip: 0, dead: 0 }
      for (const entry of entries) {
        const outcome = outcomes.get(entry) ?? entry.decoded
        if (outcome?.kind === 'skip') countDrop(outcome.reason, true)
        counts[outcome === undefined || outcome.kind === 'item' ? 'done' : outcome.kind]++
      }
      for (const outcome of ['done', 'skip', 'dead'] as const)
        if (counts[outcome] > 0) metrics.processed.add(counts[outcome], { group, outcome })
    },
    letter({ entry, outcome, stage }: Undelivered<Item>, fate: LetterFate): void {
      const { reason, cause } = outcome
      const { topic, partition, offset } = entry.record
      const fields = { topic, partition, offset: String(offset), reason, stage, ...errorFieldsOf(cause) }
      metrics.letters.add(1, { group, reason })
      if (fate.kind === 'stubbed') {
        metrics.stubs.add(1, { group })
        log.error(fields, 'dead letter stored without its bytes')
      } else if (reason === 'bug') log.error(fields, 'dead letter stored: a bug, page')
      else log.warn(fields, 'dead letter stored')
    },
    waits(step: WaitStep, tries: number, waitMs: number, error: unknown): void {
      metrics.retries.add(1, { group, step })
      const level = tries >= 5 ? 'error' : 'warn'
      log[level]({ step, tries, waitMs, ...errorFieldsOf(error) }, 'waiting for a dependency')
    },
    /** Records that a store refused by themselves, and when they are tried again. */
    refused(records: number, waitMs: number): void {
      metrics.retries.add(1, { group, step: 'record' })
      log.warn({ records, waitMs }, 'refused records are tried again')
    },
    stopped({ letters, records, limit }: Storm): void {
      metrics.stopped.set(1, { group })
      log.error({ letters, records, limit }, 'the group is stopped: too many dead letters, page')
    },
    resumed(): void {
      metrics.stopped.set(0, { group })
      log.info('the group goes on')
    },
    rewound(partition: TopicPartition, to: bigint): void {
      metrics.rewinds.add(1, { group })
      log.warn({ ...partition, to: String(to) }, 'rewound by the sink')
    },
    expired(partition: TopicPartition, requested: bigint, logStart: bigint): void {
      const fields = { ...partition, requested: String(requested), logStart: String(logStart) }
      if (logStart > requested) countDrop('expired', false, Number(logStart - requested))
      log.error(fields, 'the position is out of the range of the log')
    },
    stale: (): void => metrics.stale.add(1, { group }),
    failed: (error: unknown): void => log.error(errorFieldsOf(error), 'consumer failed'),
    /** Gauges of the lanes, once a tick. */
    lanes(lanes: Iterable<Lane<Item>>): void {
      const states = new Map<string, number>(laneStates.map((state) => [state, 0]))
      const lags = new Map<number, bigint>()
      for (const lane of lanes) {
        const { partition } = lane.partition
        states.set(lane.state, (states.get(lane.state) ?? 0) + 1)
        lags.set(partition, (lags.get(partition) ?? 0n) + lane.lag())
      }
      for (const [state, count] of states) metrics.lanes.set(count, { group, state })
      for (const partition of lagged)
        if (!lags.has(partition)) metrics.lag.remove({ group, partition: String(partition) })
      lagged.clear()
      for (const [partition, lag] of lags) {
        lagged.add(partition)
        metrics.lag.set(Number(lag), { group, partition: String(partition) })
      }
    }
  }
}
