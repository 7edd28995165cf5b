// What live windows and sessions promise under faults: they equal a recount of the log.
import type { FaultSuite } from '../fault-case.ts'
import { shuffled } from './shuffled.ts'

export const streamSuite: FaultSuite = {
  name: 'stream',
  cases: [shuffled],
  bugs: []
}
