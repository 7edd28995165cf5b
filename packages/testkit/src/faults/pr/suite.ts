// What a change has to pass before it is merged: one case of each kind of fault, a few minutes in all. The suites of the
// parts have the others.
import type { FaultSuite } from '../fault-case.ts'
import { gatewayKilled } from '../gateway/gateway-killed.ts'
import { repliesEaten } from '../gateway/replies-eaten.ts'
import { redisHurt } from '../stream/redis-hurt.ts'
import { clickhouseKilled } from '../warehouse/killed.ts'
import { leaderKilled } from './leader-killed.ts'
import { aggregatorsStorm, archiversStorm, loadersStorm } from './rebalance-storm.ts'

export const prSuite: FaultSuite = {
  name: 'pr',
  cases: [
    gatewayKilled,
    leaderKilled,
    repliesEaten,
    redisHurt,
    clickhouseKilled,
    loadersStorm,
    archiversStorm,
    aggregatorsStorm
  ],
  bugs: [
    { bug: 'gateway-dedup-before-ack', case: gatewayKilled.name },
    { bug: 'gateway-answer-before-ack', case: leaderKilled.name },
    { bug: 'aggregator-trusts-commit', case: redisHurt.name },
    { bug: 'loader-commit-before-insert', case: clickhouseKilled.name }
  ]
}
