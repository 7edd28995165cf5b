import { describe, expect, test } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { canaryMetrics } from '../metrics.ts'
import { keepSendingCanaries } from './canary.ts'
import type { CanaryFlight, CanaryStage } from './canary.ts'

/** A canary whose stages are reached after so many milliseconds each; undefined: never. */
function open(after: () => Readonly<Record<CanaryStage, number | undefined>>) {
  const clock = createManualClock()
  const registry = createRegistry()
  const stop = new AbortController()
  const sent: string[] = []
  const stage = (ms: number | undefined): Promise<void> => (ms === undefined ? new Promise(() => {}) : clock.sleep(ms))
  const done = keepSendingCanaries({
    send: async (eventId): Promise<CanaryFlight> => {
      sent.push(eventId)
      const { accepted, live, sql } = after()
      return { accepted: stage(accepted), live: stage(live), sql: stage(sql) }
    },
    newId: () => `c${sent.length}`,
    metrics: bindMetrics(canaryMetrics, registry),
    log: createSilentLogger(),
    clock,
    signal: stop.signal,
    everyMs: 30_000,
    timeoutMs: 60_000
  })
  const series = async (name: string): Promise<string> => await registry.getSingleMetricAsString(name)
  return { clock, series, sent, stop, done }
}

describe('the canary', () => {
  test('goes every half minute and tells the time to each stage', async () => {
    const { clock, series, sent } = open(() => ({ accepted: 20, live: 300, sql: 1_500 }))
    await clock.advance(65_000)
    expect(sent).toEqual(['c0', 'c1', 'c2'])
    const latency = await series('analytics_canary_latency_seconds')
    expect(latency).toContain('analytics_canary_latency_seconds_sum{stage="sql"} 4.5')
    expect(latency).toContain('analytics_canary_latency_seconds_bucket{le="0.5",stage="live"} 3')
    expect(await series('analytics_canary_events_total')).toContain('{outcome="arrived"} 3')
  })

  test('that never arrives at a stage is missed there, while the stages before it are young', async () => {
    const { clock, series, sent } = open(() => ({ accepted: 20, live: 300, sql: undefined }))
    await clock.advance(400_000)
    expect(await series('analytics_canary_events_total')).toContain('{outcome="missed"} 6')
    const ages = await series('analytics_canary_age_seconds')
    const ageOf = (stage: string): number => Number(new RegExp(`stage="${stage}"\\} (.+)`).exec(ages)?.[1])
    expect(ageOf('sql')).toBeGreaterThan(300)
    expect(ageOf('live')).toBeLessThan(61)
    // One at a time: the next one goes when the one before is given up.
    expect(sent).toHaveLength(7)
  })

  test('that the gateway does not take is refused', async () => {
    const { clock, series } = open(() => ({ accepted: undefined, live: undefined, sql: undefined }))
    await clock.advance(61_000)
    expect(await series('analytics_canary_events_total')).toContain('{outcome="refused"} 1')
  })

  test('ends with its signal, at once', async () => {
    const { clock, stop, done } = open(() => ({ accepted: undefined, live: undefined, sql: undefined }))
    await clock.advance(1_000)
    stop.abort()
    await expect(done).resolves.toBeUndefined()
    expect(clock.pending()).toBe(0)
  })
})
