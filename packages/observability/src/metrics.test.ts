import { describe, expect, it } from 'vitest'
import { bindMetrics, counter, createRegistry, exportMetrics, gauge, histogram, mergeMetrics } from './metrics.ts'

const specs = {
  dropped: counter({ name: 'analytics_events_dropped_total', help: 'Dropped.', labels: ['reason'] }),
  queued: counter({ name: 'analytics_events_queued_total', help: 'Queued.' }),
  depth: gauge({ name: 'analytics_queue_depth', help: 'Lag.', labels: ['group', 'partition'] }),
  rows: histogram({ name: 'analytics_batch_size', help: 'Rows.', buckets: [1, 10] })
}

const seriesOf = async (registry: ReturnType<typeof createRegistry>): Promise<string[]> =>
  (await registry.metrics()).split('\n').filter((line) => line.startsWith('analytics_'))

describe('bindMetrics', () => {
  it('writes what was added, set and observed', async () => {
    const registry = createRegistry()
    const metrics = bindMetrics(specs, registry)
    metrics.dropped.add(2, { reason: 'late' })
    metrics.queued.add(1)
    metrics.depth.set(7, { group: 'load', partition: '0' })
    metrics.rows.observe(5)
    expect(await seriesOf(registry)).toEqual([
      'analytics_events_dropped_total{reason="late"} 2',
      'analytics_events_queued_total 1',
      'analytics_queue_depth{group="load",partition="0"} 7',
      'analytics_batch_size_bucket{le="1"} 0',
      'analytics_batch_size_bucket{le="10"} 1',
      'analytics_batch_size_bucket{le="+Inf"} 1',
      'analytics_batch_size_sum 5',
      'analytics_batch_size_count 1'
    ])
  })

  it('yields the same series when a declaration is bound twice', async () => {
    const registry = createRegistry()
    bindMetrics(specs, registry).queued.add(1)
    bindMetrics(specs, registry).queued.add(1)
    expect(await seriesOf(registry)).toContain('analytics_events_queued_total 2')
  })

  it('adds to the same series through a child and through labels', async () => {
    const registry = createRegistry()
    const { dropped } = bindMetrics(specs, registry)
    dropped.child({ reason: 'late' })(2)
    dropped.add(1, { reason: 'late' })
    expect(await seriesOf(registry)).toContain('analytics_events_dropped_total{reason="late"} 3')
  })

  it('forgets a removed gauge', async () => {
    const registry = createRegistry()
    const { depth } = bindMetrics(specs, registry)
    depth.set(7, { group: 'load', partition: '0' })
    depth.remove({ group: 'load', partition: '0' })
    expect((await seriesOf(registry)).filter((line) => line.startsWith('analytics_queue_depth'))).toEqual([])
  })
})

describe('mergeMetrics', () => {
  it('sums the series of several processes, gauges as they declare, after a way through JSON', async () => {
    const declared = {
      ...specs,
      lag: gauge({ name: 'analytics_lag', help: 'Highest.', across: 'max' }),
      cost: gauge({ name: 'analytics_cost', help: 'Mean.', across: 'average' })
    }
    const processes: unknown[] = []
    for (const at of [1, 2]) {
      const registry = createRegistry()
      const metrics = bindMetrics(declared, registry)
      metrics.dropped.add(at, { reason: 'late' })
      metrics.dropped.add(at, { reason: `only${at}` })
      metrics.depth.set(at, { group: 'load', partition: '0' })
      metrics.rows.observe(at * 3)
      metrics.lag.set(at)
      metrics.cost.set(at)
      processes.push(JSON.parse(JSON.stringify(await exportMetrics(registry))))
    }
    const lines = (await mergeMetrics(processes)).split('\n').filter((line) => line.startsWith('analytics_'))
    expect(lines).toEqual([
      'analytics_events_dropped_total{reason="late"} 3',
      'analytics_events_dropped_total{reason="only1"} 1',
      'analytics_events_dropped_total{reason="only2"} 2',
      'analytics_events_queued_total 0',
      'analytics_queue_depth{group="load",partition="0"} 3',
      'analytics_batch_size_bucket{le="1"} 0',
      'analytics_batch_size_bucket{le="10"} 2',
      'analytics_batch_size_bucket{le="+Inf"} 2',
      'analytics_batch_size_sum 9',
      'analytics_batch_size_count 2',
      'analytics_lag 2',
      'analytics_cost 1.5'
    ])
  })
})
