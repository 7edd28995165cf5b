// Kafka loses its connections, then dies twice and comes back. What was acknowledged is there.
import { systemClock } from '@millrace/kernel'
import { createRandom } from '../../random.ts'
import type { FaultCase } from '../fault-case.ts'
import { openKafkaProxies } from './kafka-proxies.ts'
import { openRig } from './rig.ts'

export const kafkaAway: FaultCase = {
  name: 'kafka-away',
  title: 'connections to Kafka reset ten times, then Kafka SIGKILLed and restarted twice',
  counters: ['connection reset', 'kafka killed', 'turned away or unknown meanwhile', 'repeat recognised'],
  async run(context) {
    const { counters, stack, say } = context
    const random = createRandom(`away-${context.seed}`)
    await using kafka = await openKafkaProxies(stack.endpoints.KAFKA_BROKERS)
    await using rig = await openRig(context, { env: { KAFKA_BROKERS: kafka.brokers } })
    let resets = 0
    for (let round = 0; round < 10; round++) {
      await rig.traffic.moves(100 + random.below(100))
      const cut = kafka.proxies.reduce((sum, proxy) => sum + proxy.resetAll(), 0)
      counters.count('connection reset', cut)
      resets += cut
    }
    for (let kill = 0; kill < 2; kill++) {
      await rig.traffic.moves(500)
      if (stack.kill('kafka', 'SIGKILL')) counters.count('kafka killed')
      await systemClock.sleep(1_500 + random.below(1_500))
      await stack.restart('kafka')
      rig.over()
      say('Kafka is back')
    }
    await rig.traffic.moves(1_000)
    const verdict = await rig.judge({
      // A reset can hit requests whose records were appended; the gateway itself sends those again. One request holds at
      // most what the load has under way.
      allowance: { produceRetries: (resets + 2) * 40 },
      further(ledger) {
        counters.count('turned away or unknown meanwhile', ledger.filter(({ status }) => status >= 500).length)
        return []
      }
    })
    counters.count('repeat recognised', rig.traffic.load.counts().duplicates)
    return verdict
  }
}
