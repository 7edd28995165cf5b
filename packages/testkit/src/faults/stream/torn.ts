// A counter is about to overflow, so the script of a batch fails in its middle, with some of its writes done. Nothing
// more is written to that epoch, the aggregators say so, and the epoch that is built in its place is whole.
import { systemClock } from '@millrace/kernel'
import { eventually } from '../../eventually.ts'
import type { FaultCase } from '../fault-case.ts'
import { backlogTiming, makeBacklog } from './backlog.ts'
import { positionOf, untilShare } from './progress.ts'
import { rebuildEpoch } from './rebuild.ts'
import { openStreamRig } from './rig.ts'

const largest = '9223372036854775807'

export const torn: FaultCase = {
  name: 'torn',
  title: 'a counter that overflows in the middle of the script, and the epoch built after it',
  counters: ['script failed in its middle', 'alarm', 'nothing applied after it', 'epoch built', 'window closed'],
  async run(context) {
    const { counters } = context
    await using rig = await openStreamRig(context, backlogTiming)
    const project = await rig.project({ partitions: 4, written: true })
    const backlog = makeBacklog(rig.random, { run: 'o', sessions: 1_000, sinceMs: 3_600_000 })
    await project.write(backlog.copies)
    const [service] = await rig.start([project], {
      count: 1,
      env: { BATCH_SIZE: '60', MILLRACE_FAULTS: 'aggregator.before-apply:delay:100' }
    })
    await untilShare(rig, project, 0.3)
    const windows = (await rig.redis.command('KEYS', `metric:{${project.projectId}}:1:*`)) as readonly string[]
    await rig.redis.pipeline(windows.map((key) => ['HSET', key, 'c', largest]))
    await eventually('the epoch is torn', async () => (await rig.live(project))?.torn !== undefined)
    counters.count('script failed in its middle')
    await eventually(
      'the aggregator raises the alarm',
      async () => {
        const series = await (await fetch(`${service?.url}/metrics`)).text()
        return /analytics_aggregator_halted_projects\{[^}]*reason="torn"[^}]*\} 1$/m.test(series)
      },
      { timeoutMs: 20_000 }
    )
    counters.count('alarm')
    const before = await positionOf(rig, project)
    await systemClock.sleep(1_000)
    if ((await positionOf(rig, project)) === before) counters.count('nothing applied after it')
    await rebuildEpoch(rig, project)
    if ((await rig.live(project))?.torn === undefined) counters.count('epoch built')
    await rig.settled([project], { clockMs: backlog.closedAtMs })
    const { verdict, compared } = await rig.judge([project])
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    return verdict
  }
}
