// The aggregator dies between closing and telling, and between telling and confirming, windows and sessions alike: what
// is told again is told as it was, and of each value there is one highest revision.
import type { FaultCase } from '../fault-case.ts'
import { backlogTiming, makeBacklog } from './backlog.ts'
import { untilLogged } from './progress.ts'
import { openStreamRig } from './rig.ts'

/** One fault for each life; telling is slow, so that windows change and close while they are told. */
const slow = 'aggregator.before-apply:delay:150'
const lives = [
  `${slow},aggregator.after-close:kill:6`,
  `${slow},aggregator.before-confirm:kill:4`,
  `${slow},aggregator.before-confirm-sessions:kill:1`,
  `${slow},aggregator.before-confirm:delay:300`
]

export const tellingKilled: FaultCase = {
  name: 'telling-killed',
  title: 'the aggregator killed after closing, after telling windows and after telling sessions',
  counters: ['killed after closing', 'killed after telling windows', 'killed after telling sessions', 'window closed'],
  async run(context) {
    const { counters } = context
    await using rig = await openStreamRig(context, backlogTiming)
    const project = await rig.project({ partitions: 4, written: true })
    const backlog = makeBacklog(rig.random, { run: 't', sessions: 1_200, sinceMs: 3_600_000 })
    await project.write(backlog.copies)
    const [service] = await rig.start([project], {
      count: 1,
      env: { BATCH_SIZE: '30' },
      startEnv: (_index, start) => ({ MILLRACE_FAULTS: lives[start - 1] ?? '' })
    })
    if (service === undefined) throw new Error('no aggregator')
    for (const [label, counter] of [
      ['aggregator.after-close,', 'killed after closing'],
      ['aggregator.before-confirm,', 'killed after telling windows'],
      ['aggregator.before-confirm-sessions,', 'killed after telling sessions']
    ] as const) {
      await untilLogged(service, `kill at ${label}`)
      counters.count(counter)
    }
    await rig.settled([project], { clockMs: backlog.closedAtMs, timeoutMs: 90_000 })
    const { verdict, compared } = await rig.judge([project])
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    return verdict
  }
}
