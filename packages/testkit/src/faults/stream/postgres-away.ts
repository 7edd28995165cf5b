// PostgreSQL is away for longer than two minutes, and one of two aggregators dies meanwhile: live events are counted all
// the time, also by the process that starts without it, and no number changes.
import { systemClock } from '@millrace/kernel'
import type { FaultCase } from '../fault-case.ts'
import type { Violation } from '../oracle.ts'
import { openLiveWorld } from './live-world.ts'
import { openStreamRig, sleepUntil } from './rig.ts'
import { allMoved, trickle } from './trickle.ts'

const partitions = 4
const spanMs = 190_000
const beforeDeathMs = 20_000
const awayMs = 130_000
/** A dead member's partitions are given away after its session. */
const longestStillMs = 15_000

export const postgresAway: FaultCase = {
  name: 'postgres-away',
  title: 'PostgreSQL away for more than two minutes, and an aggregator that starts without it',
  counters: ['killed', 'aggregator killed', 'started without it', 'counted all the time', 'window closed'],
  async run(context) {
    const { counters, say, stack } = context
    const world = openLiveWorld(spanMs)
    await using rig = await openStreamRig(context, world.timing)
    const project = await rig.project({ partitions })
    const [first] = await rig.start([project], { count: 2 })
    const writer = new AbortController()
    const written = trickle(rig, project, { world, partitions, signal: writer.signal })
    const stood: Violation[] = []
    const moves = async (when: string): Promise<void> => {
      const startedMs = systemClock.monotonic()
      await allMoved(rig, project, 60_000)
      const tookMs = Math.round(systemClock.monotonic() - startedMs)
      const problem = 'live events were not counted'
      if (tookMs > longestStillMs)
        stood.push({ invariant: 'progress', problem, count: 1, examples: [`${when}: ${tookMs} ms`] })
    }
    await moves('before')
    if (stack.kill('postgres', 'SIGKILL')) counters.count('killed')
    const backAtMs = systemClock.now() + awayMs
    await systemClock.sleep(beforeDeathMs)
    await moves('right after')
    first?.kill('SIGKILL')
    counters.count('aggregator killed')
    await moves('after an aggregator died')
    await first?.ready()
    if ((first?.starts ?? 0) > 1) counters.count('started without it')
    while (systemClock.now() < backAtMs) {
      await moves(`${Math.round((backAtMs - systemClock.now()) / 1_000)} s before it came back`)
      await systemClock.sleep(5_000)
    }
    if (stood.length === 0) counters.count('counted all the time')
    say('PostgreSQL comes back')
    await stack.restart('postgres')
    await moves('afterwards')
    writer.abort()
    await written
    if (systemClock.now() > world.writeUntilMs) throw new Error('the machine was too slow: events came to be late')
    await rig.applied([project])
    await sleepUntil(world.closedAtMs)
    await rig.settled([project], { clockMs: world.closedAtMs })
    const { verdict, compared } = await rig.judge([project], stood)
    counters.count('window closed', compared[0]?.closedWindows ?? 0)
    return verdict
  }
}
