// The suite of the archive, and the bug that must turn it red.
import type { FaultSuite } from '../fault-case.ts'
import { killedAtSteps } from './killed-at-steps.ts'
import { rebuildKilled } from './rebuild-killed.ts'
import { thousandKills } from './thousand-kills.ts'
import { archiveDiskFull, objectStoreHurt, postgresKilled } from './stores-away.ts'
import { headWithoutCompare, twoOwners } from './two-owners.ts'

export const archiveSuite: FaultSuite = {
  name: 'archive',
  cases: [killedAtSteps, thousandKills, twoOwners, postgresKilled, archiveDiskFull, objectStoreHurt, rebuildKilled],
  bugs: [{ bug: headWithoutCompare, case: twoOwners.name }]
}
