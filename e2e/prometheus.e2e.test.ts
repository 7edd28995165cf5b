// The monitoring that ships, for real: Prometheus of the machine with our configuration and rules reads every service.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { ensurePrograms } from '@millrace/local-stack/ensure-programs'
import { services } from '@millrace/local-stack/services'
import { eventually } from '@millrace/testkit/eventually'
import { openE2e } from './open-e2e.ts'
import { openPrometheus, prometheusFolder } from './prometheus/server.ts'

const run = promisify(execFile)

beforeAll(async () => {
  await ensurePrograms({ log: () => undefined, more: ['prometheus'] })
}, 300_000)

describe('the configuration of Prometheus', () => {
  it('is valid, and its rules pass their tests', async () => {
    await run('promtool', ['check', 'config', join(prometheusFolder, 'prometheus.yml')])
    const tested = await run('promtool', ['test', 'rules', 'rules_test.yml'], { cwd: join(prometheusFolder, 'tests') })
    expect(tested.stdout).toContain('SUCCESS')
  })

  it('reads the series of every service and evaluates every rule, and a canary arrives everywhere', async () => {
    const urls: Record<string, string> = {}
    const pipeline = await openE2e({
      only: services.map(({ name }) => name),
      env: { MONITOR_EVERY_MS: '500', CANARY_EVERY_MS: '1s' },
      startEnv: (name) => (name === 'ops' ? urls : {})
    })
    // Where the canary goes is known when everything listens.
    for (const name of ['gateway', 'query', 'realtime'] as const)
      urls[`${name.toUpperCase()}_URL`] = pipeline.services.service(name).url
    await pipeline.services.service('ops').restart()
    const running = pipeline.services.all.map(({ name, port }) => ({ job: name, address: `127.0.0.1:${port}` }))
    await using prometheus = await openPrometheus(running)
    const project = await pipeline.createProject('watched')
    expect((await pipeline.send(project, { eventId: 'e1', eventType: 'view' })).status).toBe(202)

    const health = await eventually('every service was read', async () => {
      const { activeTargets } = await prometheus.get<{
        activeTargets: readonly { labels: { job: string }; health: string; lastError: string }[]
      }>('/api/v1/targets')
      const read = activeTargets.map(({ labels: { job }, health: state, lastError }) => [job, state, lastError])
      return read.length === services.length && read.every(([, state]) => state !== 'unknown') ? read : undefined
    })
    expect(health.toSorted()).toEqual(services.map(({ name }) => [name, 'up', '']).toSorted())
    const one = await eventually('the event is counted', async () => {
      const value = await prometheus.value('sum(analytics_events_received_total{job="gateway",type="view"})')
      return value === undefined || value < 1 ? undefined : value
    })
    expect(one).toBe(1)
    await eventually('a canary arrived everywhere', async () => {
      return ((await prometheus.value('sum(analytics_canary_events_total{outcome="arrived"})')) ?? 0) > 0
    })
    expect(await prometheus.value('count(analytics_canary_latency_seconds_count > 0)')).toBe(3)
    await eventually('the monitor has looked', async () => {
      return ((await prometheus.value('sum(analytics_monitor_samples_total{outcome="taken"})')) ?? 0) > 0
    })
    expect(await prometheus.value('count(analytics_oldest_unprocessed_seconds)')).toBe(5)

    const groups = await eventually('the rules were evaluated', async () => {
      const answer = await prometheus.get<{
        groups: readonly { name: string; rules: readonly { name: string; health: string; lastError?: string }[] }[]
      }>('/api/v1/rules')
      return answer.groups.every(({ rules }) => rules.every(({ health: state }) => state !== 'unknown'))
        ? answer.groups
        : undefined
    })
    const failing = groups.flatMap(({ rules }) => rules.filter(({ health: state }) => state !== 'ok'))
    expect(failing.map(({ name, lastError }) => [name, lastError])).toEqual([])
    expect(groups.flatMap(({ rules }) => rules).length).toBeGreaterThan(30)
  })
})
