// Letting a consumer group go on that stopped itself because of too many dead letters: somebody looked at them. The workers
// of the group hear of it where they hear of replays.
import { parseTopic, redriveTopic } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Admin } from '@millrace/kafka'
import type { Postgres, Queryable } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'

export interface ResumeDeps {
  readonly postgres: Postgres
  readonly admin: Pick<Admin, 'listTopics'>
  /** Groups without a redrive topic that hear of it all the same. */
  readonly countingGroups: readonly string[]
  /** Who acts, for the audit log. */
  readonly actor: string
}

/**
 * Lets every process of `group` go on; what it held back becomes dead letters. Nothing happens to one that works. Throws
 * PIPE_NOT_FOUND for a group that does not hear of it.
 */
export async function resumeGroup(
  { postgres, admin, countingGroups, actor }: ResumeDeps,
  group: string
): Promise<void> {
  const topics = await admin.listTopics()
  if (!topics.includes(redriveTopic(group)) && !countingGroups.includes(group)) {
    const known = topics.map(parseTopic).flatMap((topic) => (topic?.family === 'redrive' ? topic.parameter : []))
    const all = [...known, ...countingGroups].join(', ')
    throw new AppError('PIPE_NOT_FOUND', `'${group}' is no group that can be told: one of ${all}`)
  }
  await postgres.transaction(async (tx) => {
    await tx.query(
      `INSERT INTO group_resumes (group_id) VALUES ($1) ON CONFLICT (group_id) DO UPDATE SET resumed_at = now()`,
      [group]
    )
    await writeAudit(tx, { actor, action: 'group.resume', projectId: null, subject: group })
  })
}

/** Milliseconds since `group` was last let go on, by the clock of the database. Throws PIPE_POSTGRES_UNAVAILABLE. */
export function resumesOf({ postgres, group }: GroupResumes): () => Promise<number | undefined> {
  return async () => {
    const [row] = await postgres.query<{ ms: number }>(
      `SELECT (extract(epoch FROM clock_timestamp() - resumed_at) * 1000)::float8 AS ms FROM group_resumes
       WHERE group_id = $1`,
      [group]
    )
    return row?.ms
  }
}

interface GroupResumes {
  readonly postgres: Queryable
  readonly group: string
}
