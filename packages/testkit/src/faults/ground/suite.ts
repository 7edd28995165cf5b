// The suite every release of the ground pipeline passes, and the bugs that must turn it red.
import type { FaultSuite } from '../fault-case.ts'
import { kafkaKilled } from './kafka-killed.ts'
import { workersKilled } from './workers-killed.ts'

export const groundSuite: FaultSuite = {
  name: 'ground',
  cases: [workersKilled, kafkaKilled],
  bugs: [
    { bug: 'gateway-dedup-before-ack', case: kafkaKilled.name },
    { bug: 'loader-commit-before-insert', case: workersKilled.name }
  ]
}
