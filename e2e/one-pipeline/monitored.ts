// The monitoring that ships, for real: Prometheus of the machine with our configuration and rules reads every service.
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ensurePrograms } from '@millrace/local-stack/ensure-programs'
import { services } from '@millrace/local-stack/services'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningServices } from '@millrace/local-stack/supervisor'
import { eventually } from '@millrace/testkit/eventually'
import { testAdminToken } from '@millrace/testkit/pipeline'
import type { Pipeline } from '@millrace/testkit/pipeline'
import { openPrometheus, prometheusFolder } from '../prometheus/server.ts'

const run = promisify(execFile)

/** `pepper` is that of the pipeline. */
export function monitored(one: () => Pipeline, pepper: string): void {
  describe('the configuration of Prometheus', () => {
    beforeAll(async () => {
      await ensurePrograms({ log: () => undefined, more: ['prometheus'] })
    }, 300_000)

    it('is valid, and its rules pass their tests', async () => {
      await run('promtool', ['check', 'config', join(prometheusFolder, 'prometheus.yml')])
      const tested = await run('promtool', ['test', 'rules', 'rules_test.yml'], {
        cwd: join(prometheusFolder, 'tests')
      })
      expect(tested.stdout).toContain('SUCCESS')
    })

    it('reads the series of every service and evaluates every rule, and a canary arrives everywhere', async () => {
      const pipeline = one()
      const ops = await startOps(pipeline, pepper)
      const running = [...pipeline.services.all, ...ops.all].map(({ name, port }) => ({
        job: name,
        address: `127.0.0.1:${port}`
      }))
      await using prometheus = await openPrometheus(running)
      const project = await pipeline.createProject('watched')
      expect((await pipeline.send(project, { eventId: 'e1', eventType: 'watched' })).status).toBe(202)

      const health = await eventually('every service was read', async () => {
        const { activeTargets } = await prometheus.get<{
          activeTargets: readonly { labels: { job: string }; health: string; lastError: string }[]
        }>('/api/v1/targets')
        const read = activeTargets.map(({ labels: { job }, health: state, lastError }) => [job, state, lastError])
        return read.length === services.length && read.every(([, state]) => state !== 'unknown') ? read : undefined
      })
      expect(health.toSorted()).toEqual(services.map(({ name }) => [name, 'up', '']).toSorted())
      const counted = await eventually('the event is counted', async () => {
        const value = await prometheus.value('sum(analytics_events_received_total{job="gateway",type="watched"})')
        return value === undefined || value < 1 ? undefined : value
      })
      expect(counted).toBe(1)
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
}

/** The service that looks at the others, and quickly. It is told where they listen, so it starts behind them. */
async function startOps({ endpoints, services: others }: Pipeline, pepper: string): Promise<RunningServices> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-e2e-ops-'))
  const urls = (['gateway', 'query', 'realtime'] as const).map((name) => {
    return [`${name.toUpperCase()}_URL`, others.service(name).url] as const
  })
  const ops = await startServices({
    endpoints: { ...endpoints },
    pepper,
    folder,
    only: ['ops'],
    ports: 'ephemeral',
    env: {
      MILLRACE_TEST: '1',
      ADMIN_TOKEN: testAdminToken,
      MONITOR_EVERY_MS: '500',
      CANARY_EVERY_MS: '1s',
      ...Object.fromEntries(urls)
    }
  })
  onTestFinished(async ({ task }) => {
    await ops[Symbol.asyncDispose]()
    if (task.result?.state === 'fail') console.log(`log of ops: ${folder}`)
    else await rm(folder, { recursive: true, force: true })
  })
  return ops
}
