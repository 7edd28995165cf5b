import { describe, expect, test } from 'vitest'
import { createMemoryCluster } from '@millrace/kafka'
import type { LogSampler } from '@millrace/kafka'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { committedSink } from '@millrace/operations/sinks'
import type { Sink } from '@millrace/operations/sinks'
import { monitorMetrics } from '../metrics.ts'
import type { Alert } from './alerts.ts'
import { startMonitor } from './monitor.ts'

const topic = 'events.shop'
const group = 'load'

/** A monitor over a cluster in memory; `batches` of records are appended and committed as a test says. */
async function open(options: { sinks?: (sampler: LogSampler) => readonly Sink[] } = {}) {
  const clock = createManualClock()
  const cluster = createMemoryCluster({ clock })
  const { admin, sampler } = cluster
  await admin.createTopics([{ topic, partitions: 4, replicationFactor: 1, config: {} }])
  const registry = createRegistry()
  const stop = new AbortController()
  const raised: (Alert & { atMs: number })[] = []
  const cleared: (Alert & { atMs: number })[] = []
  const calls = { heads: 0, committed: 0, appendTimes: 0 }
  const counted: LogSampler = {
    ...sampler,
    heads: (wanted) => (calls.heads++, sampler.heads(wanted)),
    committed: (name, partitions) => (calls.committed++, sampler.committed(name, partitions)),
    appendTimes: (positions) => (calls.appendTimes++, sampler.appendTimes(positions))
  }
  const monitor = startMonitor({
    sampler: counted,
    sinks: options.sinks?.(counted) ?? [committedSink(counted, group)],
    metrics: bindMetrics(monitorMetrics, registry),
    deliver: (changes) => {
      raised.push(...changes.raised.map((alert) => ({ ...alert, atMs: clock.now() })))
      cleared.push(...changes.cleared.map((alert) => ({ ...alert, atMs: clock.now() })))
    },
    log: createSilentLogger(),
    clock,
    signal: stop.signal,
    everyMs: 10_000,
    heldSeconds: () => 0
  })
  const ends = [0n, 0n, 0n, 0n]
  /** Ten seconds in which each partition gets so many records, and all but `frozen` are read to their end. */
  const tenSeconds = async (records: number, frozen: readonly number[] = []): Promise<void> => {
    for (const partition of ends.keys()) {
      const values = Array.from({ length: records }, () => 'e')
      if (records > 0) ends[partition] = cluster.append({ topic, partition }, ...values) + 1n
    }
    const read = [...ends].flatMap((end, partition): [number, bigint][] =>
      frozen.includes(partition) ? [] : [[partition, end]]
    )
    await admin.setGroupOffsets(group, topic, new Map(read))
    await clock.advance(10_000)
  }
  return { clock, cluster, monitor, registry, raised, cleared, calls, tenSeconds, stop }
}

describe('the monitor', () => {
  test('raises one alert five to six minutes after a consumer froze, and takes it back a minute after it caught up', async () => {
    const { clock, tenSeconds, raised, cleared, monitor, registry } = await open()
    for (let tick = 0; tick < 12; tick++) await tenSeconds(200)
    const frozenAtMs = clock.now()
    for (let tick = 0; tick < 60; tick++) await tenSeconds(1_000, [2])
    expect(raised).toHaveLength(1)
    expect(raised[0]).toMatchObject({ kind: 'hot-partition', group, topic, partitions: [2] })
    const afterMs = (raised[0]?.atMs ?? 0) - frozenAtMs
    expect(afterMs).toBeGreaterThanOrEqual(300_000)
    expect(afterMs).toBeLessThanOrEqual(360_000)
    expect(raised[0]?.text).toMatch(
      /^group load is far behind in partition 2 of events\.shop: \d+ records, the oldest \d+ s old$/
    )
    expect(monitor.alerts()).toHaveLength(1)
    expect(await registry.getSingleMetricAsString('analytics_alerts_active')).toContain('{kind="hot-partition"} 1')
    expect(await registry.getSingleMetricAsString('analytics_partitions_in_trouble')).toContain(
      '{group="load",state="hot"} 1'
    )

    const caughtUpMs = clock.now()
    for (let tick = 0; tick < 12; tick++) await tenSeconds(1_000)
    expect(cleared.map(({ kind }) => kind)).toEqual(['hot-partition'])
    expect((cleared[0]?.atMs ?? 0) - caughtUpMs).toBeLessThanOrEqual(70_000)
    expect(monitor.alerts()).toEqual([])
    expect(raised).toHaveLength(1)
  })

  test('raises an alert about lag, not about a partition, when the whole group froze', async () => {
    const { tenSeconds, raised } = await open()
    for (let tick = 0; tick < 6; tick++) await tenSeconds(1_000)
    for (let tick = 0; tick < 40; tick++) await tenSeconds(1_000, [0, 1, 2, 3])
    expect(raised.map(({ kind, partitions }) => [kind, partitions])).toEqual([['lag', [0, 1, 2, 3]]])
  })

  test('never raises one in idle hours', async () => {
    const { tenSeconds, raised, calls } = await open()
    await tenSeconds(50, [3])
    for (let tick = 0; tick < 720; tick++) await tenSeconds(0, [3])
    expect(raised).toEqual([])
    expect(calls.heads).toBeGreaterThan(700)
  })

  test('tells records, age and produce rate as series', async () => {
    const { tenSeconds, registry } = await open()
    for (let tick = 0; tick < 10; tick++) await tenSeconds(20, [1])
    const series = async (name: string) => await registry.getSingleMetricAsString(name)
    expect(await series('analytics_lag_records')).toContain('{group="load",partition="1"} 200')
    expect(await series('analytics_lag_records')).toContain('{group="load",partition="0"} 0')
    const age = /\{group="load"\} (\d+)/.exec(await series('analytics_oldest_unprocessed_seconds'))?.[1]
    expect(Number(age)).toBeGreaterThanOrEqual(90)
    expect(Number(age)).toBeLessThanOrEqual(110)
    expect(await series('analytics_partition_produce_rate')).toContain('{partition="0"} 2\n')
  })

  test('asks Kafka the same few times however many partitions there are', async () => {
    const { cluster, tenSeconds, calls, monitor } = await open()
    await cluster.admin.growPartitions(topic, 1_000)
    await tenSeconds(1)
    const before = { ...calls }
    for (let tick = 0; tick < 10; tick++) await tenSeconds(1)
    expect(monitor.view().rows).toHaveLength(1_000)
    expect(calls).toMatchObject({ heads: before.heads + 10, committed: before.committed + 10 })
    expect(calls.appendTimes - before.appendTimes).toBeLessThanOrEqual(10)
  })

  test('goes on with the other groups when one cannot be asked, and after a sample that failed', async () => {
    const away = async (): Promise<never> => {
      throw new AppError('PIPE_REDIS_UNAVAILABLE', 'away')
    }
    const { cluster, tenSeconds, monitor, registry, calls } = await open({
      sinks: (sampler) => [{ group: 'aggregate', reads: () => true, positions: away }, committedSink(sampler, group)]
    })
    await tenSeconds(10, [0])
    expect(new Set(monitor.view().rows.map((row) => row.group))).toEqual(new Set([group]))
    expect(await registry.getSingleMetricAsString('analytics_monitor_source_failures_total')).toContain('aggregate')
    const { heads } = cluster.sampler
    Object.assign(cluster.sampler, { heads: away })
    await tenSeconds(10)
    expect(await registry.getSingleMetricAsString('analytics_monitor_samples_total')).toContain('{outcome="failed"} 1')
    Object.assign(cluster.sampler, { heads })
    const before = calls.heads
    await tenSeconds(10)
    expect(calls.heads).toBe(before + 1)
    expect(monitor.view().rows).toHaveLength(4)
  })

  test('ends with its signal', async () => {
    const { monitor, stop } = await open()
    stop.abort()
    await expect(monitor.done).resolves.toBeUndefined()
  })
})
