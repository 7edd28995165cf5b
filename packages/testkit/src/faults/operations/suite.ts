// What operations promise under faults: a letter is one letter, innocent records have none, and what is sent again lands once.
import type { FaultSuite } from '../fault-case.ts'
import { eachItsWay, poison, sinkAway, storm } from './letters.ts'
import { oneUserFloods } from './one-user-floods.ts'
import { redriveTwice } from './redriven.ts'
import { replayKilled } from './replay-killed.ts'
import { replayOpsKilled } from './replay-ops-killed.ts'
import { replayedInStorm } from './replayed-in-storm.ts'
import { replayedTwice } from './replayed.ts'
import { topicsGrown } from './topics-grown.ts'

export const operationsSuite: FaultSuite = {
  name: 'operations',
  cases: [
    eachItsWay,
    sinkAway,
    poison,
    storm,
    redriveTwice,
    replayedTwice,
    replayKilled,
    replayOpsKilled,
    replayedInStorm,
    topicsGrown,
    oneUserFloods
  ],
  bugs: [
    { bug: 'recorder-dead-on-outage', case: sinkAway.name },
    { bug: 'recorder-letters-by-attempt', case: eachItsWay.name },
    { bug: 'cli-redrive-forgets', case: redriveTwice.name },
    { bug: 'recorder-keeps-its-place', case: replayedInStorm.name }
  ]
}
