// PostgreSQL dies: keys that the gateway knows keep working, one that it cannot look up is asked to come back later.
import type { FaultCase } from '../fault-case.ts'
import type { Violation } from '../oracle.ts'
import { complain, openRig } from './rig.ts'

export const postgresKilled: FaultCase = {
  name: 'postgres-killed',
  title: 'PostgreSQL SIGKILLed and restarted under load; a key that is not known yet meanwhile',
  counters: ['killed', 'accepted meanwhile', 'unknown key asked to wait'],
  async run(context) {
    const { counters, stack } = context
    // Known keys are looked up anew within the outage.
    await using rig = await openRig(context, { env: { KEY_FRESH_MS: '1s' } })
    const other = await rig.pipeline.createProject('faults')
    await rig.traffic.moves(500)
    if (stack.kill('postgres', 'SIGKILL')) counters.count('killed')
    const before = rig.traffic.load.counts().accepted
    await rig.traffic.moves(1_500)
    counters.count('accepted meanwhile', rig.traffic.load.counts().accepted - before)
    const event = { eventId: 'unknown-key', eventType: 'page_view' }
    const refused = await rig.pipeline.send(other, event)
    if (refused.status === 503 && refused.headers.has('retry-after')) counters.count('unknown key asked to wait')
    await stack.restart('postgres')
    rig.over()
    await rig.traffic.moves(500)
    const found = await rig.pipeline.send(other, event)
    const verdict = await rig.judge({
      further: (ledger) =>
        complain(
          'progress',
          'turned away although its key was known',
          ledger.filter(({ end, status }) => end !== 'answered' || status >= 500 || status === 401)
        )
    })
    return { ...verdict, violations: [...verdict.violations, ...checkKey(refused.status, found.status)] }
  }
}

function checkKey(away: number, back: number): readonly Violation[] {
  if (away === 503 && back === 202) return []
  const examples = [`${away} while PostgreSQL was away`, `${back} when it was back`]
  return [{ invariant: 'edge', problem: 'a key that was not known before the outage', count: 1, examples }]
}
