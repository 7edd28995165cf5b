// The state Redis forgets everything, twice: in the middle of a backlog, and when all of it is told. A new epoch begins
// by itself, and from its first full hour on everything is whole again.
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { eventually } from '../../eventually.ts'
import type { FaultCase } from '../fault-case.ts'
import { systemClock } from '@millrace/kernel'
import { backlogTiming, makeBacklog } from './backlog.ts'
import { untilShare } from './progress.ts'
import { openStreamRig } from './rig.ts'

const hourMs = 3_600_000
/** So much of the present hour must be over, so that there are windows in it. */
const youngHourMs = 150_000

export const redisFlushed: FaultCase = {
  name: 'redis-flushed',
  title: 'FLUSHALL of the state Redis in the middle of a backlog and after it',
  counters: ['flushed', 'epoch begun', 'window closed', 'session closed', 'window of an earlier epoch kept'],
  async run(context) {
    const { counters, say } = context
    const intoHourMs = systemClock.now() % hourMs
    if (intoHourMs < youngHourMs) await systemClock.sleep(youngHourMs - intoHourMs)
    await using rig = await openStreamRig(context, backlogTiming)
    const project = await rig.project({ partitions: 4, written: true })
    const backlog = makeBacklog(rig.random, { run: 'f', sessions: 1_500, sinceMs: 2 * hourMs })
    await project.write(backlog.copies)
    const { look: lookUp } = createRedisEpochs(rig.redis)
    await rig.start([project], {
      count: 2,
      env: { BATCH_SIZE: '60', MILLRACE_FAULTS: 'aggregator.before-apply:delay:60' }
    })
    const flush = async (epoch: number): Promise<void> => {
      // An epoch that is lost within its first minute is begun again under its number; these are older.
      await rig.postgres.query(`UPDATE state_epochs SET created_at = created_at - interval '1 hour'`)
      await rig.redis.command('FLUSHALL')
      counters.count('flushed')
      const begun = async (): Promise<boolean> => (await lookUp(project.projectId)).pointer === epoch
      await eventually(`epoch ${epoch}`, begun, { timeoutMs: 30_000 })
      counters.count('epoch begun')
    }
    await untilShare(rig, project, 0.6)
    say('Redis forgets everything, in the middle')
    await flush(2)
    await rig.settled([project], { clockMs: backlog.closedAtMs })
    say('Redis forgets everything, after the end')
    await flush(3)
    await rig.settled([project], { clockMs: backlog.closedAtMs })
    const { verdict, compared, evidence } = await rig.judge([project])
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    counters.count('session closed', compared[0]?.closedSessions ?? 0)
    const { metrics = [], epoch = 0 } = evidence[0] ?? {}
    counters.count(
      'window of an earlier epoch kept',
      metrics.filter(({ final, revision }) => final && revision[0] < epoch).length
    )
    return verdict
  }
}
