// Projects. A project exists for the gateway from the moment its keys do, so its topics are made before them.
import { isProjectId } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Queryable, Row } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'
import { insertKey } from './keys.ts'
import type { KeyAdmin } from './keys.ts'

export interface ProjectAdmin extends KeyAdmin {
  /** Makes sure that all topics of the project exist and have leaders; called before the project is written. */
  readonly ensureTopics: (projectId: string) => Promise<unknown>
}

export interface CreatedProject {
  readonly projectId: string
  /** Both keys are shown once. */
  readonly writeKey: string
  readonly secretKey: string
}

export interface ListedProject {
  readonly projectId: string
  readonly name: string
  readonly logGeneration: number
  readonly createdAt: Date
}

interface ProjectRow extends Row {
  readonly id: string
  readonly name: string
  readonly log_generation: number
  readonly created_at: Date
}

/**
 * Creates a project with its topics, one write key and one secret key. A call that failed may be repeated: topics are
 * left as they are, and the project with both keys is written in one transaction. Throws PIPE_INVALID_INPUT for a bad
 * id, PIPE_CONFLICT when the project exists (its keys cannot be shown again; make new ones).
 */
export async function createProject(
  admin: ProjectAdmin,
  request: { readonly projectId: string; readonly name?: string }
): Promise<CreatedProject> {
  const { projectId, name = projectId } = request
  if (!isProjectId(projectId)) {
    throw new AppError(
      'PIPE_INVALID_INPUT',
      `'${projectId}' is no project id: 1 to 39 of a-z, 0-9 and -, not - first, and not a reserved word`
    )
  }
  if (name === '' || name.length > 200) {
    throw new AppError('PIPE_INVALID_INPUT', 'the name of a project has 1 to 200 characters')
  }
  const existing = await admin.postgres.query('SELECT 1 FROM projects WHERE id = $1', [projectId])
  if (existing.length > 0) throw conflict(projectId)
  await admin.ensureTopics(projectId)
  return await admin.postgres.transaction(async (tx) => {
    const inserted = await tx.query(
      'INSERT INTO projects (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING id',
      [projectId, name]
    )
    if (inserted.length === 0) throw conflict(projectId)
    await writeAudit(tx, {
      actor: admin.actor,
      action: 'project.create',
      projectId,
      subject: projectId,
      details: { name }
    })
    const write = await insertKey(tx, admin, { projectId, kind: 'write' })
    const secret = await insertKey(tx, admin, { projectId, kind: 'secret' })
    return { projectId, writeKey: write.key, secretKey: secret.key }
  })
}

/** All projects by id. */
export async function listProjects(postgres: Queryable): Promise<readonly ListedProject[]> {
  const rows = await postgres.query<ProjectRow>('SELECT id, name, log_generation, created_at FROM projects ORDER BY id')
  return rows.map((row) => ({
    projectId: row.id,
    name: row.name,
    logGeneration: row.log_generation,
    createdAt: row.created_at
  }))
}

function conflict(projectId: string): AppError {
  return new AppError(
    'PIPE_CONFLICT',
    `the project '${projectId}' exists; its keys cannot be shown again, make new ones with \`millrace keys create\``
  )
}
