// The Redis of the live state dies with the end of its log cut off, comes back as it was before, and is full, while two
// aggregators work through three hours of backlog: every owner goes back to where Redis is, and no number changes.
import { systemClock } from '@millrace/kernel'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import { backlogTiming, makeBacklog } from './backlog.ts'
import { positionOf, untilShare } from './progress.ts'
import { createRedisFault } from './redis-fault.ts'
import { openStreamRig } from './rig.ts'
import type { StreamRig } from './rig.ts'
import type { StreamProject } from './stream-project.ts'

/** Slow enough that the faults come in the middle. */
const slow = { BATCH_SIZE: '60', MILLRACE_FAULTS: 'aggregator.before-apply:delay:80' }
const cutBytes = 30_000
const fullMs = 2_000

export const redisHurt: FaultCase = {
  name: 'redis-hurt',
  title: 'the state Redis killed with its tail cut off, rolled back and full, under a backlog of three hours',
  counters: [
    'killed with its tail cut',
    'rolled back',
    'full',
    'position went back',
    'nothing applied while full',
    'window closed',
    'session closed',
    'late record'
  ],
  async run(context) {
    await using rig = await openStreamRig(context, backlogTiming)
    const { counters } = context
    const project = await rig.project({ partitions: 4, written: true })
    const backlog = makeBacklog(rig.random, { run: 'h', sessions: 2_500, sinceMs: 3 * 3_600_000 })
    await project.write(backlog.copies)
    await rig.start([project], { count: 2, env: slow })
    await hurt(rig, project, context)
    await rig.settled([project], { clockMs: backlog.closedAtMs, timeoutMs: 90_000 })
    const { verdict, compared, evidence } = await rig.judge([project])
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    counters.count('session closed', compared[0]?.closedSessions ?? 0)
    counters.count('late record', evidence[0]?.recount.counts.late ?? 0)
    return verdict
  }
}

async function hurt(
  rig: StreamRig,
  project: StreamProject,
  { counters, stack, folder, say }: CaseContext
): Promise<void> {
  const fault = createRedisFault(stack, rig.redis, folder)
  const back = async (what: () => Promise<void>): Promise<void> => {
    const before = await positionOf(rig, project)
    await what()
    if ((await positionOf(rig, project)) < before) counters.count('position went back')
  }
  await untilShare(rig, project, 0.2)
  await fault.remember()
  await untilShare(rig, project, 0.4)
  say('Redis dies, and the end of its log is gone')
  await back(() => fault.killAndCut(cutBytes))
  counters.count('killed with its tail cut')
  await untilShare(rig, project, 0.5)
  say('Redis is what it was a while ago')
  await back(() => fault.rollBack())
  counters.count('rolled back')
  await untilShare(rig, project, 0.7)
  say('Redis is full')
  await fault.whileFull(async () => {
    counters.count('full')
    await systemClock.sleep(500)
    const before = await positionOf(rig, project)
    await systemClock.sleep(fullMs)
    if ((await positionOf(rig, project)) === before) counters.count('nothing applied while full')
  })
}
