// What the gateway promises under faults: an acknowledged event is in the log, and copies are explained.
import type { FaultSuite } from '../fault-case.ts'
import { brokerFrozen } from './broker-frozen.ts'
import { diskFull } from './disk-full.ts'
import { gatewayFrozen } from './gateway-frozen.ts'
import { gatewayKilled } from './gateway-killed.ts'
import { kafkaAway } from './kafka-away.ts'
import { kafkaFrozen } from './kafka-frozen.ts'
import { leasePassedOn } from './lease-passed-on.ts'
import { oneId } from './one-id.ts'
import { postgresKilled } from './postgres-killed.ts'
import { redisHurt } from './redis-hurt.ts'
import { repliesEaten } from './replies-eaten.ts'
import { stoppedInOrder } from './stopped-in-order.ts'

export const gatewaySuite: FaultSuite = {
  name: 'gateway',
  cases: [
    gatewayKilled,
    repliesEaten,
    kafkaAway,
    redisHurt,
    oneId,
    kafkaFrozen,
    stoppedInOrder,
    gatewayFrozen,
    postgresKilled,
    leasePassedOn,
    brokerFrozen,
    diskFull
  ],
  bugs: [
    { bug: 'gateway-dedup-before-ack', case: gatewayKilled.name },
    { bug: 'gateway-busy-is-duplicate', case: gatewayKilled.name },
    { bug: 'gateway-answer-before-ack', case: kafkaAway.name },
    { bug: 'gateway-release-without-token', case: leasePassedOn.name },
    { bug: 'gateway-trusts-partial-reply', case: brokerFrozen.name }
  ]
}
