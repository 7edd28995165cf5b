// What takes minutes by its nature, because it is about time.
import type { FaultSuite } from '../fault-case.ts'
import { frozenConsumer } from './frozen-consumer.ts'

export const monitorSuite: FaultSuite = { name: 'monitor', cases: [frozenConsumer], bugs: [] }
