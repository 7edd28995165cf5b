// Aggregators freeze until the group has given their partitions away, one with a batch folded and not yet applied, the
// other between asking for the ends of the log and using the answer. When they wake up they go on as if nothing had
// happened, and nothing may come of it.
import { systemClock } from '@millrace/kernel'
import type { RunningService } from '@millrace/local-stack/supervisor'
import type { FaultCase } from '../fault-case.ts'
import { backlogTiming, makeBacklog } from './backlog.ts'
import { positionOf, untilLogged } from './progress.ts'
import { openStreamRig } from './rig.ts'

/** Longer than the session of a member lasts. */
const frozenMs = 9_000
const freezes = [
  'aggregator.before-apply:delay:120,aggregator.before-apply:stop:25',
  'aggregator.before-apply:delay:120,aggregator.clock-asked:stop:4'
]

export const zombie: FaultCase = {
  name: 'zombie',
  title: 'aggregators frozen beyond their session: before an apply, and between a question about the log and its use',
  counters: ['frozen before an apply', 'frozen with an old answer', 'others went on meanwhile', 'window closed'],
  async run(context) {
    const { counters, say } = context
    await using rig = await openStreamRig(context, backlogTiming)
    const project = await rig.project({ partitions: 6, written: true })
    const backlog = makeBacklog(rig.random, { run: 'z', sessions: 4_000, sinceMs: 2 * 3_600_000 })
    // All of it before anybody reads: at the end of a log the clock goes on with the present.
    await project.write(backlog.copies)
    const aggregators = await rig.start([project], {
      count: 3,
      env: { BATCH_SIZE: '50' },
      startEnv: (index, start) => {
        const fault = start === 1 ? freezes[index] : undefined
        return fault === undefined
          ? { MILLRACE_FAULTS: 'aggregator.before-apply:delay:120' }
          : { MILLRACE_FAULTS: fault }
      }
    })
    const freeze = async (service: RunningService | undefined, label: string, counter: string): Promise<void> => {
      if (service === undefined) throw new Error('no such aggregator')
      await untilLogged(service, `stop at ${label}`)
      counters.count(counter)
      const before = await positionOf(rig, project)
      await systemClock.sleep(frozenMs)
      if ((await positionOf(rig, project)) > before) counters.count('others went on meanwhile')
      say(`aggregator wakes up at ${label}`)
      service.kill('SIGCONT')
    }
    await Promise.all([
      freeze(aggregators[0], 'aggregator.before-apply', 'frozen before an apply'),
      freeze(aggregators[1], 'aggregator.clock-asked', 'frozen with an old answer')
    ])
    await rig.settled([project], { clockMs: backlog.closedAtMs, timeoutMs: 90_000 })
    const { verdict, compared } = await rig.judge([project])
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    return verdict
  }
}
