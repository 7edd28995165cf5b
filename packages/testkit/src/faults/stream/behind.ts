// Aggregators that were away for half an hour and for three hours, with copies far apart in the log; and logs in which
// one partition was idle for an hour before all were: what is over closes and becomes final, once.
import type { FaultCase } from '../fault-case.ts'
import { backlogTiming, makeBacklog } from './backlog.ts'
import type { Backlog } from './backlog.ts'
import { openStreamRig } from './rig.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

export const behind: FaultCase = {
  name: 'behind',
  title: 'aggregators behind by 30 min and by 3 h with copies, and a partition that is idle before all are',
  counters: ['late record', 'copy', 'window closed', 'session closed', 'hour of counted ids deleted', 'idle partition'],
  async run(context) {
    const { counters } = context
    await using rig = await openStreamRig(context, backlogTiming)
    const { random } = rig
    const [half, three, idle] = await rig.projects(3, { partitions: 4, written: true })
    if (half === undefined || three === undefined || idle === undefined) throw new Error('no projects')
    const halfLog = makeBacklog(random, { run: 'a', sessions: 600, sinceMs: 30 * minuteMs, copyShare: 0.6 })
    const threeLog = makeBacklog(random, { run: 'b', sessions: 1_200, sinceMs: 3 * hourMs, copyShare: 0.6 })
    const idleLog = withIdlePartition(makeBacklog(random, { run: 'c', sessions: 600, sinceMs: 2 * hourMs }))
    await Promise.all([half.write(halfLog.copies), three.write(threeLog.copies), idle.write(idleLog.copies)])
    counters.count('idle partition')
    const projects = [half, three, idle]
    await rig.start(projects, { count: 2, groups: 'own', env: { BATCH_SIZE: '200' } })
    await rig.settled(projects, { clockMs: Math.max(...[halfLog, threeLog, idleLog].map((log) => log.closedAtMs)) })
    const { verdict, compared, evidence } = await rig.judge(projects)
    for (const { closedWindows, closedSessions } of compared) {
      counters.count('window closed', closedWindows)
      counters.count('session closed', closedSessions)
    }
    for (const { recount } of evidence) {
      counters.count('late record', recount.counts.late)
      counters.count('copy', recount.counts.copies)
    }
    if (((await rig.live(three))?.deletedThrough ?? -1) > 0) counters.count('hour of counted ids deleted')
    return verdict
  }
}

/** Nothing comes to the last partition in the last hour; its records of that time go to the first one. */
function withIdlePartition(backlog: Backlog): Backlog {
  const since = backlog.closedAtMs - hourMs
  const copies = backlog.copies.map((copy) => {
    const partition = copy.appendedAtMs < since ? hashOf(copy.eventId) % 4 : hashOf(copy.eventId) % 3
    return { ...copy, partition }
  })
  return { ...backlog, copies }
}

function hashOf(text: string): number {
  let hash = 0
  for (const byte of Buffer.from(text)) hash = (hash * 31 + byte) >>> 0
  return hash
}
