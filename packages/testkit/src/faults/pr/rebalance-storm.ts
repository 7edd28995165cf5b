// Members of a group come and go every three seconds under load: the group is never at rest, and still everything is
// handled, and once. One of them freezes with work in hand until others have done that work, and then goes on as if nothing
// had happened. One case for each kind of sink: one that repeats, one that claims ranges, one that owns positions.
import { systemClock } from '@millrace/kernel'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { eventually } from '../../eventually.ts'
import { unique } from '../../unique.ts'
import { openArchiveRig } from '../archive/rig.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import type { Verdict } from '../oracle.ts'
import { openLiveWorld } from '../stream/live-world.ts'
import { untilLogged } from '../stream/progress.ts'
import { openStreamRig, sleepUntil } from '../stream/rig.ts'
import { trickle } from '../stream/trickle.ts'
import { metricOf, openWarehouseRig } from '../warehouse/rig.ts'

const everyMs = 3_000
const members = 2
const stormMs = 36_000
const moved = 'progress in the storm'
const joined = 'members joined'
const assigned = 'assignments'
const frozen = 'frozen with work in hand'
/** Longer than the session of a member (6 s), so that others have its partitions and have gone on. */
const frozenMs = 12_000

type Env = Readonly<Record<string, string>>

interface StormOptions {
  readonly start: (env?: Env) => Promise<RunningService>
  /** How much is handled by now. */
  readonly handled: () => Promise<number>
  readonly group: string
  readonly zombie: Zombie
}

/** A member that does its work too late. */
interface Zombie {
  /** Where it freezes, and at which passage. */
  readonly label: string
  readonly passage: number
  /** The counter of its noticing that others were there before. */
  readonly counter: string
  readonly noticed: (service: RunningService) => Promise<number>
}

/** Lets members come and go; resolves when the storm is over and one member is left. */
async function rage(context: CaseContext, { start, handled, group, zombie }: StormOptions): Promise<void> {
  const { counters, say } = context
  const running: RunningService[] = [await start()]
  const labels = `{group="${group}"}`
  const before = await handled()
  const late = comeTooLate(context, start, zombie)
  // A failure is seen where it is awaited; until then it is not unhandled.
  late.catch(() => {})
  const startedMs = systemClock.monotonic()
  for (let turn = 1; systemClock.monotonic() - startedMs < stormMs; turn++) {
    context.signal.throwIfAborted()
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
  await late
  counters.count(moved, (await handled()) - before)
  say(`the storm is over, ${running.length} members are left`)
}

/** Runs the zombie from its start to its end. */
async function comeTooLate(
  { counters, say }: CaseContext,
  start: StormOptions['start'],
  { label, passage, counter, noticed }: Zombie
): Promise<void> {
  const service = await start({ MILLRACE_FAULTS: `${label}:stop:${passage}` })
  await untilLogged(service, `stop at ${label}`)
  counters.count(frozen)
  await systemClock.sleep(frozenMs)
  service.kill('SIGCONT')
  const some = async (): Promise<boolean> => (await noticed(service)) > 0
  await eventually('the zombie to notice', some, { timeoutMs: 20_000, intervalMs: 200 }).catch(() => undefined)
  const times = await noticed(service)
  counters.count(counter, times)
  say(`${service.name} woke up at ${label} after ${frozenMs} ms; ${counter}: ${times}`)
  await service.stop()
}

const givenUp = 'work given up that others had'

export const loadersStorm: FaultCase = {
  name: 'storm-loaders',
  title: `loaders that join and leave every ${everyMs} ms under load`,
  counters: [joined, assigned, frozen, givenUp, moved],
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
    await rage(context, {
      group,
      handled,
      start: async (env = {}) => (await rig.startLoader({ group, env })).service,
      zombie: {
        label: 'loader.before-insert',
        passage: 3,
        counter: givenUp,
        noticed: async (service) => {
          const of = (name: string): Promise<number> => metricOf(service, name, `{group="${group}"}`)
          return (
            (await of('analytics_consumer_stale_batches_total')) +
            (await of('analytics_consumer_discarded_records_total'))
          )
        }
      }
    })
    await end()
    return await rig.judge([group])
  }
}

const claimLost = 'head compare-and-set lost'

export const archiversStorm: FaultCase = {
  name: 'storm-archivers',
  title: `archivers that join and leave every ${everyMs} ms under load`,
  counters: [joined, assigned, frozen, claimLost, moved],
  async run(context) {
    await using rig = await openArchiveRig(context)
    const group = unique('archive')
    const handled = async (): Promise<number> =>
      [...(await rig.heads()).values()].reduce((sum, position) => sum + Number(position), 0)
    const start = (env: Env = {}): Promise<RunningService> =>
      rig.startArchiver({ env, startEnv: () => ({ CONSUMER_GROUP: group, SESSION_TIMEOUT_MS: '6s' }) })
    await rage(context, {
      group,
      handled,
      start,
      zombie: {
        label: 'archiver.after-put',
        passage: 2,
        counter: claimLost,
        noticed: (service) => rig.metric(service, 'analytics_archive_files_total', '{outcome="moved"}')
      }
    })
    return await rig.judge()
  }
}

const partitions = 6
/** A batch whose records are applied already, some or all of them: nothing of it is applied, its owner reads on from Redis. */
const trimmed = 'batch with applied records refused'

export const aggregatorsStorm: FaultCase = {
  name: 'storm-aggregators',
  title: `aggregators that join and leave every ${everyMs} ms under load`,
  counters: [joined, assigned, frozen, trimmed, moved, 'window closed'],
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
    const start = async (env: Env = {}): Promise<RunningService> => {
      const [service] = await rig.start([project], { count: 1, env: { CONSUMER_GROUP: group, ...env } })
      if (service === undefined) throw new Error('no aggregator was started')
      return service
    }
    await rage(context, {
      group,
      handled,
      start,
      zombie: {
        label: 'aggregator.before-apply',
        passage: 5,
        counter: trimmed,
        noticed: (service) => metricOf(service, 'analytics_aggregator_rewinds_total', '{reason="gap"}')
      }
    })
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
