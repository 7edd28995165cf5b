// The merges of PostgreSQL as the warehouse reads them: the person of every user id that a merge ever named. It is
// written whole after every change, at start and after a rebuild, and is idempotent: a row is a pure function of the
// merges, and the one of the newest change wins.
import { createPersons } from '@millrace/contracts'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Queryable, Row } from '@millrace/stores/postgres'
import { inForce, readMerges } from './identity-merges.ts'
import type { IdentityState } from './identity-merges.ts'

export interface ClosureDeps {
  readonly postgres: Queryable
  readonly clickhouse: Pick<Clickhouse, 'insertLines' | 'command'>
}

const table = 'person_edges'
const columns = ['projectId', 'userId', 'personId', 'userIds', 'version']

/**
 * Writes the closure of `projectId`, or of every project that has merges, to ClickHouse, and lets it be read at once.
 * Resolves with the number of rows. Throws PIPE_POSTGRES_UNAVAILABLE, PIPE_CLICKHOUSE_UNAVAILABLE; calling it again
 * completes the work.
 */
export async function writePersonEdges({ postgres, clickhouse }: ClosureDeps, projectId?: string): Promise<number> {
  const projects = projectId === undefined ? await projectsWithMerges(postgres) : [projectId]
  const lines: string[] = []
  for (const project of projects) lines.push(...toLines(project, await readMerges(postgres, project)))
  if (lines.length === 0) return 0
  const settings = { async_insert: 0, insert_deduplicate: 0 }
  await clickhouse.insertLines(table, columns, Buffer.from(`${lines.join('\n')}\n`), { settings })
  // Only to be sooner: the server renews it by itself, and may not let us.
  await clickhouse.command('SYSTEM RELOAD DICTIONARY identity_persons').catch(() => undefined)
  return lines.length
}

/**
 * Writes the closure of each project whose merges in PostgreSQL are not those the warehouse has: of a change that was cut
 * off between the two, and of merges that a restored PostgreSQL does not know. Resolves with the projects. Throws
 * PIPE_POSTGRES_UNAVAILABLE, PIPE_CLICKHOUSE_UNAVAILABLE, PIPE_CLICKHOUSE_QUERY.
 */
export async function renewPersonEdges(deps: RenewDeps): Promise<readonly string[]> {
  const { postgres, clickhouse } = deps
  // The warehouse first: of a merge made meanwhile it must not know more than PostgreSQL.
  const held = versions(
    await clickhouse.rows<VersionRow>(
      `SELECT projectId AS project, toString(max(version)) AS version FROM ${table} GROUP BY projectId`
    )
  )
  const wanted = versions(
    await postgres.query<VersionRow>(
      `SELECT projects.id AS project, coalesce(max(edges.id), 0)::text AS version
       FROM projects LEFT JOIN identity_edges edges ON edges.project_id = projects.id GROUP BY projects.id`
    )
  )
  const renewed: string[] = []
  // Projects that PostgreSQL does not know are left alone: it may be the wrong one.
  for (const [project, known] of wanted) {
    const there = held.get(project) ?? 0n
    if (there === known) continue
    // Rows of a higher version would win over everything that is merged from here on.
    if (there > known) {
      const name = `unhex('${Buffer.from(project).toString('hex')}')`
      const newer = `ALTER TABLE ${table} DELETE WHERE projectId = ${name} AND version > ${known}`
      await clickhouse.command(newer, { settings: { mutations_sync: 1 } })
    }
    await writePersonEdges(deps, project)
    renewed.push(project)
  }
  return renewed
}

interface RenewDeps extends ClosureDeps {
  readonly clickhouse: Pick<Clickhouse, 'rows' | 'insertLines' | 'command'>
}

interface VersionRow extends Row {
  readonly project: string
  readonly version: string
}

function versions(rows: readonly VersionRow[]): ReadonlyMap<string, bigint> {
  return new Map(rows.map(({ project, version }) => [project, BigInt(version)]))
}

/** A row for each user id, those of undone merges included: what they were before must be overwritten. */
function toLines(projectId: string, { merges, version }: IdentityState): readonly string[] {
  const persons = createPersons(inForce(merges))
  const userIds = new Set(merges.flatMap(({ fromUserId, intoUserId }) => [fromUserId, intoUserId]))
  return [...userIds].map((userId) => {
    const person = persons.personOf(userId)
    const row = {
      projectId,
      userId,
      personId: person.personId,
      userIds: person.userIds.length,
      version: String(version)
    }
    return JSON.stringify(row)
  })
}

async function projectsWithMerges(postgres: Queryable): Promise<readonly string[]> {
  const rows = await postgres.query<{ project_id: string }>(
    'SELECT DISTINCT project_id FROM identity_edges ORDER BY project_id'
  )
  return rows.map((row) => row.project_id)
}
