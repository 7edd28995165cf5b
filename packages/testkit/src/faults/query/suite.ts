// The suite of the query service, and the bug that must turn it red.
import type { FaultSuite } from '../fault-case.ts'
import { breakerTimeline } from './breaker-timeline.ts'
import { canaries, keyWithoutProject } from './canaries.ts'
import { clientsGone } from './clients-gone.ts'
import { coldStart } from './cold-start.ts'
import { redisAway } from './redis-away.ts'

export const querySuite: FaultSuite = {
  name: 'query',
  cases: [coldStart, redisAway, breakerTimeline, clientsGone, canaries],
  bugs: [{ bug: keyWithoutProject, case: canaries.name }]
}
