// The settings of one project: shown with the defaults filled in, and changed by name. Services follow within a minute.
import { changeProjectSettings, parseProjectSettings } from '@millrace/contracts'
import type { ProjectSettings } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Postgres, Queryable, Row } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'

export interface ShownProject {
  readonly projectId: string
  readonly name: string
  readonly logGeneration: number
  readonly createdAt: Date
  /** As services understand them, defaults included. */
  readonly settings: ProjectSettings
  /** What of the stored settings is wrong and therefore left out. */
  readonly problems: readonly string[]
}

interface ProjectRow extends Row {
  readonly id: string
  readonly name: string
  readonly log_generation: number
  readonly created_at: Date
  readonly settings: unknown
}

const select = 'SELECT id, name, log_generation, created_at, settings FROM projects WHERE id = $1'

/** One project with its settings. Throws PIPE_NOT_FOUND. */
export async function showProject(postgres: Queryable, projectId: string): Promise<ShownProject> {
  return toShown(await readProject(postgres, select, projectId))
}

/**
 * Applies `changes`, each a name and its text (empty: back to the default), all or none of them. Throws
 * PIPE_INVALID_INPUT naming every change that is wrong, PIPE_NOT_FOUND.
 */
export async function setProject(
  { postgres, actor }: { readonly postgres: Postgres; readonly actor: string },
  projectId: string,
  changes: readonly (readonly [name: string, text: string])[]
): Promise<ShownProject> {
  return await postgres.transaction(async (tx) => {
    const before = await readProject(tx, `${select} FOR UPDATE`, projectId)
    const { stored, problems } = changeProjectSettings(before.settings, changes)
    if (problems.length > 0) throw new AppError('PIPE_INVALID_INPUT', problems.join('; '))
    await tx.query('UPDATE projects SET settings = $2::jsonb WHERE id = $1', [projectId, JSON.stringify(stored)])
    await writeAudit(tx, {
      actor,
      action: 'project.set',
      projectId,
      subject: projectId,
      before: before.settings,
      after: stored
    })
    return toShown({ ...before, settings: stored })
  })
}

async function readProject(tx: Queryable, statement: string, projectId: string): Promise<ProjectRow> {
  const [row] = await tx.query<ProjectRow>(statement, [projectId])
  if (row === undefined) throw new AppError('PIPE_NOT_FOUND', `there is no project '${projectId}'`)
  return row
}

function toShown(row: ProjectRow): ShownProject {
  const { settings, problems } = parseProjectSettings(row.settings)
  return {
    projectId: row.id,
    name: row.name,
    logGeneration: row.log_generation,
    createdAt: row.created_at,
    settings,
    problems
  }
}
