// The broker appends, its reply is eaten and the connection reset: nobody knows that the events are stored. Nothing may
// be lost, and there may be no more copies than replies that were eaten.
import { systemClock } from '@millrace/kernel'
import type { FaultCase } from '../fault-case.ts'
import { kafkaRequest } from '../proxy-rules.ts'
import { openKafkaProxies } from './kafka-proxies.ts'
import { openRig } from './rig.ts'

const produce = kafkaRequest(0)

export const repliesEaten: FaultCase = {
  name: 'replies-eaten',
  title: 'replies of Kafka eaten after the append, 20 times',
  counters: ['reply eaten', 'copy in the log', 'repeat recognised'],
  async run(context) {
    await using kafka = await openKafkaProxies(context.stack.endpoints.KAFKA_BROKERS)
    await using rig = await openRig(context, {
      env: { KAFKA_BROKERS: kafka.brokers },
      // One sender of single events: each produce request holds one event, so the bound on copies is exact.
      load: { pace: { kind: 'closed', senders: 1 }, batches: { share: 0, events: 1 } }
    })
    const rules = []
    for (let round = 0; round < 20; round++) {
      await rig.traffic.moves(30)
      rules.push(...kafka.proxies.map((proxy) => proxy.add({ kind: 'eat-reply', when: produce, times: 1 })))
      await systemClock.sleep(100)
      rig.over()
    }
    await rig.traffic.moves(200)
    const eaten = rules.reduce((sum, rule) => sum + rule.acted(), 0)
    const verdict = await rig.judge({ allowance: { produceRetries: eaten } })
    context.counters.count('reply eaten', eaten)
    context.counters.count('copy in the log', verdict.figures.logCopies)
    context.counters.count('repeat recognised', rig.traffic.load.counts().duplicates)
    return verdict
  }
}
