// The gateway freezes between lease and produce for longer than a lease lives, and goes on: clients that gave up and sent
// again may make a copy, which their unknown outcome explains.
import { readFileSync } from 'node:fs'
import { systemClock } from '@millrace/kernel'
import { eventually } from '../../eventually.ts'
import type { FaultCase } from '../fault-case.ts'
import { openRig } from './rig.ts'

/** Three leases of 15 s. */
const frozenMs = 45_000
const freeze = 'gateway.before-produce:stop:200'

export const gatewayFrozen: FaultCase = {
  name: 'gateway-frozen',
  title: 'the gateway frozen (SIGSTOP) for 45 s with leases in hand, which end meanwhile',
  counters: ['frozen with a lease', 'attempt given up meanwhile', 'repeat recognised'],
  async run(context) {
    const { counters } = context
    await using rig = await openRig(context, {
      startEnv: () => ({ MILLRACE_FAULTS: freeze }),
      load: { timeoutMs: 5_000 }
    })
    const { gateway } = rig
    const stopped = (): boolean => readFileSync(gateway.logFile, 'utf8').includes('fault: stop at')
    await eventually('the gateway to freeze', stopped, { timeoutMs: 60_000 })
    counters.count('frozen with a lease')
    await systemClock.sleep(frozenMs)
    gateway.kill('SIGCONT')
    rig.over()
    await rig.traffic.moves(1_000)
    const verdict = await rig.judge({
      further(ledger) {
        counters.count('attempt given up meanwhile', ledger.filter(({ end }) => end === 'timeout').length)
        return []
      }
    })
    counters.count('repeat recognised', rig.traffic.load.counts().duplicates)
    return verdict
  }
}
