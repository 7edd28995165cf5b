// The loader dies at every step of a batch, and ClickHouse dies while it inserts: the same rows are inserted again.
import { readFileSync } from 'node:fs'
import { systemClock } from '@millrace/kernel'
import { eventually } from '../../eventually.ts'
import { createRandom } from '../../random.ts'
import type { FaultCase } from '../fault-case.ts'
import { metricOf, ofOneProcess, openWarehouseRig } from './rig.ts'

const steps = [
  'loader.before-insert',
  'loader.after-events-raw',
  'loader.after-identity-links',
  'loader.after-first-seen',
  'consumer.before-commit',
  'consumer.after-commit'
] as const
const rounds = 2

export const killedAtSteps: FaultCase = {
  name: 'killed-at-steps',
  title: `the loader SIGKILLed ${rounds} times at each of ${steps.length} steps, under load`,
  counters: steps.map((step) => `killed at ${step}`),
  async run(context) {
    const { counters, seed } = context
    const random = createRandom(`warehouse-${seed}`)
    const hits = Array.from({ length: rounds * steps.length }, () => 1 + random.below(4))
    await using rig = await openWarehouseRig(context)
    const end = rig.keepWriting()
    const { service, group } = await rig.startLoader({
      startEnv(start) {
        // The first life is ended from outside: one that dies while it starts would look like one that cannot.
        const fault = start - 2
        const step = steps[fault % steps.length] ?? steps[0]
        return fault < 0 || fault >= hits.length ? {} : { MILLRACE_FAULTS: `${step}:kill:${hits[fault]}` }
      }
    })
    await rig.moves(100)
    service.kill('SIGKILL')
    const lives = (): boolean => service.starts === hits.length + 2
    await eventually(`life ${hits.length + 2} of the loader`, lives, { timeoutMs: 600_000, intervalMs: 500 })
    const lines = readFileSync(service.logFile, 'utf8').split('\n')
    for (const step of steps)
      counters.count(`killed at ${step}`, lines.filter((line) => line.startsWith(`fault: kill at ${step},`)).length)
    await rig.moves(500)
    await end()
    return await rig.judge([group])
  }
}

const kills = 10

export const clickhouseKilled: FaultCase = {
  name: 'clickhouse-killed',
  title: `ClickHouse SIGKILLed ${kills} times while it inserts, under load`,
  counters: ['killed', 'inserts without an answer'],
  async run(context) {
    const { counters, planted, seed, stack } = context
    const random = createRandom(`clickhouse-${seed}`)
    await using rig = await openWarehouseRig(context)
    const end = rig.keepWriting()
    const { service, group } = await rig.startLoader({ env: { FLUSH_AFTER_MS: '20' } })
    for (let kill = 0; kill < (planted === undefined ? kills : 3); kill++) {
      const before = await metricOf(service, 'analytics_loader_rows_inserted_total')
      const goesOn = async (): Promise<boolean> =>
        (await metricOf(service, 'analytics_loader_rows_inserted_total')) > before
      await eventually('the loader to insert', goesOn, { timeoutMs: 90_000, intervalMs: 50 })
      await systemClock.sleep(random.below(200))
      if (stack.kill('clickhouse', 'SIGKILL')) counters.count('killed')
      await rig.moves(200)
      await stack.restart('clickhouse')
    }
    await rig.moves(500)
    await end()
    const doubtful = 'analytics_loader_doubtful_inserts_total'
    counters.count('inserts without an answer', await metricOf(service, doubtful, '{reason="unavailable"}'))
    return ofOneProcess(await rig.judge([group], { timeoutMs: 120_000 }), service.starts)
  }
}
