// Three aggregators share twelve partitions under a steady trickle of events. One is stopped in order, one is killed:
// its partitions must be at work elsewhere within the time that the group permits, and no number changes.
import { systemClock } from '@millrace/kernel'
import type { FaultCase } from '../fault-case.ts'
import type { Violation } from '../oracle.ts'
import { openLiveWorld } from './live-world.ts'
import { openStreamRig, sleepUntil } from './rig.ts'
import { allMoved, trickle } from './trickle.ts'

const partitions = 12
const sessionTimeoutMs = 6_000
const limits = { SIGTERM: 10_000, SIGKILL: sessionTimeoutMs + 5_000 } as const
const spanMs = 60_000

export const members: FaultCase = {
  name: 'members',
  title: `of three aggregators with ${partitions} partitions one is stopped in order and one killed`,
  counters: ['stopped in order', 'killed', 'event written', 'window closed', 'session closed'],
  async run(context) {
    const { counters, say } = context
    const world = openLiveWorld(spanMs)
    await using rig = await openStreamRig(context, world.timing)
    const project = await rig.project({ partitions })
    const [, second, third] = await rig.start([project], { count: 3 })
    const writer = new AbortController()
    const written = trickle(rig, project, { world, partitions, signal: writer.signal })
    await allMoved(rig, project, 30_000)
    const slow: Violation[] = []
    const within = async (signal: keyof typeof limits): Promise<void> => {
      const startedMs = systemClock.monotonic()
      await allMoved(rig, project, 30_000)
      const tookMs = Math.round(systemClock.monotonic() - startedMs)
      say(`all partitions move again ${tookMs} ms after ${signal}`)
      const problem = `partitions stood still for longer than ${limits[signal]} ms after ${signal}`
      if (tookMs > limits[signal]) {
        slow.push({ invariant: 'progress', problem, count: 1, examples: [`${tookMs} ms`] })
      }
    }
    const stopping = second?.stop()
    counters.count('stopped in order')
    await within('SIGTERM')
    await stopping
    third?.kill('SIGKILL')
    counters.count('killed')
    await within('SIGKILL')
    writer.abort()
    counters.count('event written', await written)
    if (systemClock.now() > world.writeUntilMs) throw new Error('the machine was too slow: events came to be late')
    await rig.applied([project])
    await sleepUntil(world.closedAtMs)
    await rig.settled([project], { clockMs: world.closedAtMs })
    const { verdict, compared } = await rig.judge([project], slow)
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    counters.count('session closed', compared[0]?.closedSessions ?? 0)
    return verdict
  }
}
