// Which ids the events of a person may show: its name, and the user ids that were merged into it, which the warehouse shows
// for seconds after a merge. From PostgreSQL, remembered for a few seconds.
import { createPersons } from '@millrace/contracts'
import type { Persons } from '@millrace/contracts'
import { createLru, withDeadline } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { inForce, readMerges } from '@millrace/operations/identity-merges'
import type { Queryable } from '@millrace/stores/postgres'

export interface PersonReader {
  /**
   * The persons of a project. Throws PIPE_POSTGRES_UNAVAILABLE or PIPE_DEADLINE when they are not known and cannot be
   * asked.
   */
  of(projectId: string): Promise<Persons>
}

const freshMs = 10_000
const longestMs = 2_000
/** Merges hardly ever change: while PostgreSQL is away older ones do. */
const usableMs = 3_600_000

/** Reads persons from `postgres`. */
export function createPersonReader(postgres: Queryable, clock: Clock): PersonReader {
  const known = createLru<string, { readonly persons: Persons; readonly atMs: number }>(1_000)
  return {
    async of(projectId) {
      const before = known.get(projectId)
      const ageMs = before === undefined ? Number.POSITIVE_INFINITY : clock.monotonic() - before.atMs
      if (before !== undefined && ageMs < freshMs) return before.persons
      try {
        const atMs = clock.monotonic()
        const read = readMerges(postgres, projectId)
        const { merges } = await withDeadline(read, longestMs, clock, 'read merges of users')
        const persons = createPersons(inForce(merges))
        known.set(projectId, { persons, atMs })
        return persons
      } catch (error) {
        if (before !== undefined && ageMs < usableMs) return before.persons
        throw error
      }
    }
  }
}
