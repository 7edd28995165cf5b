// The drop rules of projects: made, shown and taken back by people. Gateways follow within a minute.
import { dropRuleProblem, maxDropRules, parseDropRules } from '@millrace/contracts'
import type { DropKind, DropRule } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Postgres, Queryable, Row } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'

export interface DropAdmin {
  readonly postgres: Postgres
  readonly actor: string
  readonly clock: Clock
}

/** What a rule is about. */
export interface DropSubject {
  readonly projectId: string
  readonly kind: DropKind
  readonly key: string
}

export interface ListedDrop extends DropRule {
  readonly projectId: string
}

interface DropsRow extends Row {
  readonly id: string
  readonly drops: unknown
}

/**
 * Adds a rule; one that is there already is left as it is. Throws PIPE_INVALID_INPUT for a wrong kind or key or too many rules,
 * PIPE_NOT_FOUND for an unknown project.
 */
export async function addDrop(
  { postgres, actor, clock }: DropAdmin,
  { projectId, kind, key }: DropSubject,
  reason: string
): Promise<ListedDrop> {
  const problem = dropRuleProblem(kind, key)
  if (problem !== undefined) throw new AppError('PIPE_INVALID_INPUT', problem)
  return await postgres.transaction(async (tx) => {
    const rules = await lockRules(tx, projectId)
    const known = rules.find(isAbout(kind, key))
    if (known !== undefined) return { projectId, ...known }
    if (rules.length >= maxDropRules)
      throw new AppError('PIPE_INVALID_INPUT', `a project has at most ${maxDropRules} drop rules`)
    const rule = { kind, key, reason, by: actor, since: new Date(clock.now()).toISOString() }
    await writeRules(tx, projectId, [...rules, rule])
    await writeAudit(tx, { actor, action: 'drop.add', projectId, subject: `${kind} ${key}`, after: { ...rule } })
    return { projectId, ...rule }
  })
}

/** Takes a rule back. Throws PIPE_NOT_FOUND for an unknown project or rule. */
export async function removeDrop(
  { postgres, actor }: Omit<DropAdmin, 'clock'>,
  { projectId, kind, key }: DropSubject
): Promise<ListedDrop> {
  return await postgres.transaction(async (tx) => {
    const rules = await lockRules(tx, projectId)
    const rule = rules.find(isAbout(kind, key))
    if (rule === undefined)
      throw new AppError('PIPE_NOT_FOUND', `project '${projectId}' has no drop rule for ${kind} '${key}'`)
    await writeRules(
      tx,
      projectId,
      rules.filter((each) => each !== rule)
    )
    await writeAudit(tx, { actor, action: 'drop.remove', projectId, subject: `${kind} ${key}`, before: { ...rule } })
    return { projectId, ...rule }
  })
}

/** The rules of a project, or of all, by project and time. Throws PIPE_NOT_FOUND for an unknown project. */
export async function listDrops(postgres: Queryable, projectId?: string): Promise<readonly ListedDrop[]> {
  const rows = await postgres.query<DropsRow>(
    `SELECT id, settings->'drops' AS drops FROM projects WHERE $1::text IS NULL OR id = $1 ORDER BY id`,
    [projectId ?? null]
  )
  if (projectId !== undefined && rows.length === 0) throw unknownProject(projectId)
  return rows.flatMap(({ id, drops }) => parseDropRules(drops).rules.map((rule) => ({ projectId: id, ...rule })))
}

/** The rules, with the project locked until the transaction ends. */
async function lockRules(tx: Queryable, projectId: string): Promise<readonly DropRule[]> {
  const [row] = await tx.query<DropsRow>(
    `SELECT id, settings->'drops' AS drops FROM projects WHERE id = $1 FOR UPDATE`,
    [projectId]
  )
  if (row === undefined) throw unknownProject(projectId)
  return parseDropRules(row.drops).rules
}

async function writeRules(tx: Queryable, projectId: string, rules: readonly DropRule[]): Promise<void> {
  await tx.query(
    `UPDATE projects SET settings = CASE WHEN $2::jsonb = '[]'::jsonb THEN settings - 'drops'
       ELSE jsonb_set(settings, '{drops}', $2::jsonb) END WHERE id = $1`,
    [projectId, JSON.stringify(rules)]
  )
}

function isAbout(kind: DropKind, key: string): (rule: DropRule) => boolean {
  return (rule) => rule.kind === kind && rule.key === key
}

function unknownProject(projectId: string): AppError {
  return new AppError('PIPE_NOT_FOUND', `there is no project '${projectId}'`)
}
