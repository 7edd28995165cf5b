// The suite of the warehouse, and the bugs that must turn it red.
import type { FaultSuite } from '../fault-case.ts'
import { identityDecided } from './identity.ts'
import { clickhouseKilled, killedAtSteps } from './killed.ts'
import { clickhouseKilledOften, manyRepliesEaten } from './many-doubts.ts'
import { badRow, postgresKilled, warehouseDiskFull } from './refused.ts'
import { repliesEaten, topicReplayed, trustsTokens, twoLoaders } from './repeated.ts'

export const warehouseSuite: FaultSuite = {
  name: 'warehouse',
  cases: [
    killedAtSteps,
    clickhouseKilled,
    clickhouseKilledOften,
    repliesEaten,
    manyRepliesEaten,
    twoLoaders,
    topicReplayed,
    badRow,
    warehouseDiskFull,
    postgresKilled,
    identityDecided
  ],
  bugs: [
    { bug: trustsTokens, case: topicReplayed.name },
    { bug: 'loader-side-tables-after-commit', case: killedAtSteps.name },
    { bug: 'loader-commit-before-insert', case: clickhouseKilled.name },
    { bug: 'loader-commit-before-insert', case: clickhouseKilledOften.name }
  ]
}
