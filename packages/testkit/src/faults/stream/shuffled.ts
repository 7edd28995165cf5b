// One set of events, written a hundred times: in another order each time, with other copies, in two halves. Three
// aggregators that each believe they own everything read all of it, one of them dies on the way, and every log must
// come to the same windows and sessions as its recount.
import { systemClock } from '@millrace/kernel'
import type { FaultCase } from '../fault-case.ts'
import type { Violation } from '../oracle.ts'
import type { Compared, StreamEvidence } from './compare.ts'
import { openLiveWorld } from './live-world.ts'
import { makeEvent, makeEvents, withCopies } from './make-events.ts'
import type { Copy, StreamEvent } from './make-events.ts'
import { openStreamRig, sleepUntil } from './rig.ts'

const logs = 100
const spanMs = 70_000
/** Logs that are written side by side. */
const atOnce = 20
/** Longer than what a set of counted ids lives that expires by the wall clock after a second. */
const pauseMs = 2_000

export const shuffled: FaultCase = {
  name: 'shuffled',
  title: `${logs} logs of the same events, shuffled and copied, read by three aggregators each, one of which dies`,
  counters: [
    'log written',
    'copy written',
    'late record',
    'aggregator killed',
    'window closed',
    'open hour compared',
    'session closed'
  ],
  async run(context) {
    const { counters, say } = context
    const world = openLiveWorld(spanMs)
    await using rig = await openStreamRig(context, world.timing)
    const { random } = rig
    const projects = await rig.projects(logs, { partitions: 4 })
    const aggregators = await rig.start(projects, { count: 3, groups: 'own' })
    say('aggregators run; writing the first half')
    const { fromMs, toMs, lateMs } = world
    const events = makeEvents(random, { run: 'e', sessions: 20, fromMs, toMs, mostEvents: 7 })
    const late = Array.from({ length: 5 }, (_, index) =>
      makeEvent({ eventId: `late-${index}`, eventType: 'page_view', atMs: lateMs - index, sessionId: 'e-s1' })
    )
    const half = events.length >> 1
    const write = async (part: readonly StreamEvent[]): Promise<void> => {
      for (let first = 0; first < logs; first += atOnce) {
        const some = projects.slice(first, first + atOnce)
        await Promise.all(some.map((project) => project.write(withCopies(random, part, 0.3).map(toCopy))))
      }
    }
    await write(events.slice(0, half))
    counters.count('log written', logs)
    aggregators[0]?.kill('SIGKILL')
    counters.count('aggregator killed')
    await rig.applied(projects)
    await systemClock.sleep(pauseMs)
    say('writing the second half, with copies of the first')
    await write([...events.slice(half), ...events.slice(0, half).filter(() => random.chance(0.5)), ...late])
    if (systemClock.now() > world.writeUntilMs) throw new Error('the machine was too slow: events came to be late')
    await rig.applied(projects)
    say('everything is applied; waiting for the minute to close')
    await sleepUntil(world.closedAtMs)
    await rig.settled(projects, { clockMs: world.closedAtMs })
    const { verdict, compared, evidence } = await rig.judge(projects)
    for (const { closedWindows, openWindows, closedSessions } of compared) {
      counters.count('window closed', closedWindows)
      counters.count('open hour compared', openWindows)
      counters.count('session closed', closedSessions)
    }
    for (const { recount } of evidence) {
      counters.count('copy written', recount.counts.copies)
      counters.count('late record', recount.counts.late)
    }
    return { ...verdict, violations: [...verdict.violations, ...leftOut(evidence, compared)] }
  }
}

/** Logs of which something was not compared: every minute and every session must be over by now, every hour be held. */
function leftOut(evidence: readonly StreamEvidence[], compared: readonly Compared[]): readonly Violation[] {
  const examples = evidence.flatMap(({ projectId, recount }, index) => {
    const { closedWindows = 0, openWindows = 0, closedSessions = 0 } = compared[index] ?? {}
    const windows = [...recount.windows.values()]
    const minutes = windows.filter(({ granularity }) => granularity === '1m').length
    const isWhole = closedWindows >= minutes && closedWindows + openWindows === windows.length
    if (isWhole && closedSessions === recount.sessions.size) return []
    return [`${projectId}: ${closedWindows} + ${openWindows} of ${windows.length} windows, ${closedSessions} sessions`]
  })
  if (examples.length === 0 && evidence.length === logs) return []
  return [{ invariant: 'INV-4', problem: 'logs not compared whole', count: examples.length, examples }]
}

const toCopy = ({ eventId, value }: StreamEvent): Copy => ({ eventId, value, appendedAtMs: 0 })
