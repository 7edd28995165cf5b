// The command that moves a running group back dies at each of its steps. The group goes on by itself, nothing is lost, and
// the replay can be gone on with or given up; then the group stands where it would have stood.
import { systemClock } from '@millrace/kernel'
import type { Row } from '@millrace/stores/postgres'
import { eventually } from '../../eventually.ts'
import type { FaultCase } from '../fault-case.ts'
import { broken } from '../oracle.ts'
import type { Violation } from '../oracle.ts'
import { millrace } from './replayed.ts'
import { compareIds, openOperationsRig } from './rig.ts'
import type { OperationsRig } from './rig.ts'

const steps = ['written', 'held', 'set', 'released'] as const

export const replayKilled: FaultCase = {
  name: 'replay-killed',
  title: `a running group moved back in place by a command that is SIGKILLed at ${steps.length} steps`,
  counters: ['commands killed', 'gone on with', 'given up', 'records while it was held'],
  async run(context) {
    const { counters } = context
    await using rig = await openOperationsRig(context, { only: ['recorder'] })
    const ids = (await rig.write(2_000)).map(({ eventId }) => eventId)
    await rig.caughtUp(['record'])
    const violations: Violation[] = []
    for (const [index, step] of steps.entries()) {
      const killed = await millrace(
        context,
        rig,
        ['replay', 'start', '--group', 'record', '--from-offset', 'earliest', '--in-place'],
        { MILLRACE_TEST: '1', MILLRACE_FAULTS: `replay.${step}:kill` }
      )
      if (killed.signal === 'SIGKILL') counters.count('commands killed')
      // Nobody looks: events arrive meanwhile, and the group goes on when the hold is over.
      ids.push(...(await rig.write(200)).map(({ eventId }) => eventId))
      counters.count('records while it was held', 200)
      const landed = async (): Promise<boolean> => (await rig.recorded()).size === ids.length
      await eventually(`what arrived at step ${step}`, landed, { timeoutMs: 90_000, intervalMs: 500 })
      violations.push(...(await settle(context, rig, index % 2 === 0)))
    }
    await rig.caughtUp(['record'])
    violations.push(...compareIds('raw_events', ids, await rig.recorded()))
    return rig.verdict(violations, await rig.letters())
  }
}

interface Open extends Row {
  readonly id: string
  readonly state: string
  readonly held: boolean
}

/** Goes on with the replay, or gives it up, whatever is left to be done; then the group is at the end again. */
async function settle(
  context: Parameters<typeof millrace>[0],
  rig: OperationsRig,
  goesOn: boolean
): Promise<readonly Violation[]> {
  const { counters } = context
  const look = async (): Promise<Open> => {
    const [row] = await rig.postgres.query<Open>(
      `SELECT id::text, state, coalesce(held_until > clock_timestamp(), false) AS held FROM replays
       WHERE project_id = $1 ORDER BY replays.id DESC LIMIT 1`,
      [rig.project.projectId]
    )
    return row ?? { id: '', state: 'none', held: false }
  }
  // Whoever died is believed to live until its hold is over.
  await eventually('the hold is over', async () => !(await look()).held, { timeoutMs: 60_000, intervalMs: 500 })
  const { id, state } = await look()
  const isOpen = state === 'preparing' || state === 'running'
  const resume = ['replay', 'start', '--resume', id, '--wait']
  const end =
    goesOn && state === 'preparing'
      ? await millrace(context, rig, resume)
      : isOpen
        ? await millrace(context, rig, ['replay', 'abort', id])
        : undefined
  counters.count('gone on with', goesOn && end?.code === 0 ? 1 : 0)
  counters.count('given up', !goesOn && end?.code === 0 ? 1 : 0)
  // One that was released may have come to its end by itself.
  const isFine = end === undefined || end.code === 0 || (await look()).state === 'done'
  await systemClock.sleep(500)
  await rig.caughtUp(['record'])
  return broken('edge', `a replay that was ${state} could not be ended`, isFine ? [] : [end.errors.slice(0, 500)])
}
