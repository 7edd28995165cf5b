// What takes minutes by its nature: what is about time, and what needs brokers of its own and a storm.
import type { FaultSuite } from '../fault-case.ts'
import { frozenConsumer } from './frozen-consumer.ts'
import { replayedInStorm } from './replayed-in-storm.ts'

export const monitorSuite: FaultSuite = {
  name: 'monitor',
  cases: [frozenConsumer, replayedInStorm],
  bugs: [{ bug: 'recorder-keeps-its-place', case: replayedInStorm.name }]
}
