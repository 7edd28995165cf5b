// A new epoch is built from the log while the live one runs, and flipped to under load: what it holds and tells equals
// the recount, as the epoch before it did.
import type { FaultCase } from '../fault-case.ts'
import { backlogTiming, makeBacklog } from './backlog.ts'
import { untilShare } from './progress.ts'
import { rebuildEpoch } from './rebuild.ts'
import { openStreamRig } from './rig.ts'

export const rebuilt: FaultCase = {
  name: 'rebuilt',
  title: 'a rebuild beside the live epoch, flipped to in the middle of a backlog',
  counters: ['flipped', 'value told by both epochs', 'window closed', 'session closed'],
  async run(context) {
    const { counters, say } = context
    await using rig = await openStreamRig(context, backlogTiming)
    const project = await rig.project({ partitions: 4, written: true })
    const backlog = makeBacklog(rig.random, { run: 'r', sessions: 2_000, sinceMs: 2 * 3_600_000 })
    await project.write(backlog.copies)
    await rig.start([project], {
      count: 2,
      env: { BATCH_SIZE: '60', MILLRACE_FAULTS: 'aggregator.before-apply:delay:60' }
    })
    await untilShare(rig, project, 0.3)
    const { epoch, sealedMs } = await rebuildEpoch(rig, project)
    say(`epoch ${epoch} is in force; live events waited for ${sealedMs} ms`)
    counters.count('flipped')
    await rig.settled([project], { clockMs: backlog.closedAtMs })
    const { verdict, compared, evidence } = await rig.judge([project])
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    counters.count('session closed', compared[0]?.closedSessions ?? 0)
    const told = evidence[0]?.metrics.map(({ revision }) => revision[0]) ?? []
    if (new Set(told).size > 1) counters.count('value told by both epochs')
    return verdict
  }
}
