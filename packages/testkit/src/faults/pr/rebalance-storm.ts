// Members of a group come and go every three seconds under load: the group is never at rest, and still everything is
// handled, and once. One case for each kind of sink: one that repeats, one that claims ranges, one that owns positions.
import { systemClock } from '@millrace/kernel'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { unique } from '../../unique.ts'
import { openArchiveRig } from '../archive/rig.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import type { Verdict } from '../oracle.ts'
import { openLiveWorld } from '../stream/live-world.ts'
import { openStreamRig, sleepUntil } from '../stream/rig.ts'
import { trickle } from '../stream/trickle.ts'
import { metricOf, openWarehouseRig } from '../warehouse/rig.ts'

const everyMs = 3_000
const members = 2
const stormMs = 36_000
const moved = 'progress in the storm'
const joined = 'members joined'
const assigned = 'assignments'

interface StormOptions {
  readonly start: () => Promise<RunningService>
  /** How much is handled by now. */
  readonly handled: () => Promise<number>
  readonly group: string
}

/** Lets members come and go; resolves when the storm is over and one member is left. */
async function rage({ counters, say }: CaseContext, { start, handled, group }: StormOptions): Promise<void> {
  const running: RunningService[] = [await start()]
  const labels = `{group="${group}"}`
  const before = await handled()
  const startedMs = systemClock.monotonic()
  for (let turn = 1; systemClock.monotonic() - startedMs < stormMs; turn++) {
    running.push(await start())
    counters.count(joined)
    if (running.length > members) {
      const oldest = running.shift()
      if (oldest === undefined) continue
      counters.count(assigned, await metricOf(oldest, 'analytics_consumer_assignments_total', labels))
      // Every other one is killed: the group learns of it by its silence.
      if (turn % 2 === 0) oldest.kill('SIGKILL')
      await oldest.stop()
    }
    const nextMs = startedMs + turn * everyMs
    await systemClock.sleep(Math.max(0, nextMs - systemClock.monotonic()))
  }
  counters.count(moved, (await handled()) - before)
  say(`the storm is over, ${running.length} members are left`)
}

export const loadersStorm: FaultCase = {
  name: 'storm-loaders',
  title: `loaders that join and leave every ${everyMs} ms under load`,
  counters: [joined, assigned, moved],
  async run(context) {
    await using rig = await openWarehouseRig(context)
    const group = unique('load')
    const end = rig.keepWriting()
    const handled = async (): Promise<number> => {
      const [row] = await rig.clickhouse.rows<{ rows: string }>(
        'SELECT count() AS rows FROM events_raw WHERE projectId = {project:String}',
        { project: rig.project }
      )
      return Number(row?.rows ?? 0)
    }
    await rage(context, { group, handled, start: async () => (await rig.startLoader({ group })).service })
    await end()
    return await rig.judge([group])
  }
}

export const archiversStorm: FaultCase = {
  name: 'storm-archivers',
  title: `archivers that join and leave every ${everyMs} ms under load`,
  counters: [joined, assigned, moved],
  async run(context) {
    await using rig = await openArchiveRig(context)
    const group = unique('archive')
    const handled = async (): Promise<number> =>
      [...(await rig.heads()).values()].reduce((sum, position) => sum + Number(position), 0)
    const start = (): Promise<RunningService> =>
      rig.startArchiver({ startEnv: () => ({ CONSUMER_GROUP: group, SESSION_TIMEOUT_MS: '6s' }) })
    await rage(context, { group, handled, start })
    return await rig.judge()
  }
}

const partitions = 6

export const aggregatorsStorm: FaultCase = {
  name: 'storm-aggregators',
  title: `aggregators that join and leave every ${everyMs} ms under load`,
  counters: [joined, assigned, moved, 'window closed'],
  async run(context): Promise<Verdict> {
    const { counters } = context
    const world = openLiveWorld(stormMs + 40_000)
    await using rig = await openStreamRig(context, world.timing)
    const project = await rig.project({ partitions })
    const group = unique('aggregate')
    const writer = new AbortController()
    const written = trickle(rig, project, { world, partitions, signal: writer.signal })
    const handled = async (): Promise<number> =>
      ((await rig.live(project))?.partitions ?? []).reduce((sum, { position }) => sum + Number(position), 0)
    const start = async (): Promise<RunningService> => {
      const [service] = await rig.start([project], { count: 1, env: { CONSUMER_GROUP: group } })
      if (service === undefined) throw new Error('no aggregator was started')
      return service
    }
    await rage(context, { group, handled, start })
    writer.abort()
    await written
    if (systemClock.now() > world.writeUntilMs) throw new Error('the machine was too slow: events came to be late')
    await rig.applied([project])
    await sleepUntil(world.closedAtMs)
    await rig.settled([project], { clockMs: world.closedAtMs })
    const { verdict, compared } = await rig.judge([project])
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    return verdict
  }
}
