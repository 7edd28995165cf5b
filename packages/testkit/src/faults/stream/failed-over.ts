// The master of the state Redis freezes under load and a sentinel makes its replica the master; the last batches may be
// lost with the old one, and are applied again.
import type { FaultCase } from '../fault-case.ts'
import { openOwnSentinel } from '../../own-sentinel.ts'
import { backlogTiming, makeBacklog } from './backlog.ts'
import { untilShare } from './progress.ts'
import { openStreamRig } from './rig.ts'

export const failedOver: FaultCase = {
  name: 'failed-over',
  title: 'the master of the state Redis frozen under a backlog, until a sentinel makes its replica the master',
  counters: ['failed over', 'window closed', 'session closed'],
  async run(context) {
    const { counters, say } = context
    await using sentinel = await openOwnSentinel(['--appendonly', 'yes'])
    await using rig = await openStreamRig(context, backlogTiming, sentinel.url)
    const project = await rig.project({ partitions: 4, written: true })
    const backlog = makeBacklog(rig.random, { run: 's', sessions: 1_500, sinceMs: 3_600_000 })
    await project.write(backlog.copies)
    await rig.start([project], {
      count: 2,
      env: { BATCH_SIZE: '60', MILLRACE_FAULTS: 'aggregator.before-apply:delay:60' }
    })
    await untilShare(rig, project, 0.4)
    sentinel.master.pause()
    try {
      await sentinel.failedOver()
      counters.count('failed over')
      say('the replica is the master')
    } finally {
      sentinel.master.resume()
    }
    await rig.settled([project], { clockMs: backlog.closedAtMs, timeoutMs: 90_000 })
    const { verdict, compared } = await rig.judge([project])
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    counters.count('session closed', compared[0]?.closedSessions ?? 0)
    return verdict
  }
}
