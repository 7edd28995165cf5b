// One of three brokers freezes under load: its partitions wait for their new leaders, the others go on, and a request that
// was answered for some of its partitions says nothing about the rest.
import { systemClock } from '@millrace/kernel'
import { openThreeBrokers } from '../../three-brokers.ts'
import type { FaultCase } from '../fault-case.ts'
import { openRig } from './rig.ts'

const frozenMs = 20_000
const rounds = 2

export const brokerFrozen: FaultCase = {
  name: 'broker-frozen',
  title: 'one of three brokers frozen (SIGSTOP) for 20 s under load, twice',
  counters: ['broker frozen', 'accepted meanwhile', 'turned away or unknown meanwhile', 'accepted after it'],
  async run(context) {
    const { counters, say } = context
    say('three brokers start')
    await using cluster = await openThreeBrokers()
    const stack = { ...cluster.stack, endpoints: { ...cluster.stack.endpoints, KAFKA_BROKERS: cluster.brokers } }
    await using rig = await openRig({ ...context, stack }, { load: { batches: { share: 0.7, events: 20 } } })
    const { load } = rig.traffic
    for (let round = 0; round < rounds; round++) {
      await rig.traffic.moves(1_000)
      const broker = round === 0 ? 'kafka-2' : 'kafka-3'
      if (cluster.stack.kill(broker, 'SIGSTOP')) counters.count('broker frozen')
      const before = load.counts().accepted
      await systemClock.sleep(frozenMs)
      counters.count('accepted meanwhile', load.counts().accepted - before)
      cluster.stack.kill(broker, 'SIGCONT')
      rig.over()
      say(`${broker} goes on`)
      const then = load.counts().accepted
      await rig.traffic.moves(1_000)
      counters.count('accepted after it', load.counts().accepted - then)
    }
    return await rig.judge({
      // What a frozen broker had in hand may be stored when it goes on, after the gateway sent it again elsewhere; one
      // request holds at most what the load has under way.
      allowance: { produceRetries: rounds * 200 },
      further(ledger) {
        counters.count('turned away or unknown meanwhile', ledger.filter(({ status }) => status >= 500).length)
        return []
      }
    })
  }
}
