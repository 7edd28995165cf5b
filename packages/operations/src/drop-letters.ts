// Gives dead letters up: nothing is deleted, but nobody is bothered by them any more, unless they are written anew.
import type { Postgres } from '@millrace/stores/postgres'
import { writeAudit } from './audit.ts'
import { writeDecisions } from './letter-decisions.ts'
import { previewRedrive } from './redrive-letters.ts'
import type { RedriveRequest } from './redrive-letters.ts'
import type { LettersDeps } from './letters.ts'

export interface DropDeps extends Omit<LettersDeps, 'postgres'> {
  readonly postgres: Postgres
  /** Who acts, for the audit log. */
  readonly actor: string
}

export interface DropRequest extends Pick<RedriveRequest, 'projectId' | 'where' | 'sinceMs' | 'limit'> {
  /** Why, for the audit log. */
  readonly reason: string
}

/**
 * Drops the open letters that the conditions match, the oldest first. May be repeated. Throws what `readLetters` throws.
 */
export async function dropLetters(
  deps: DropDeps,
  request: DropRequest
): Promise<{ readonly matched: number; readonly dropped: readonly string[] }> {
  const { postgres, actor } = deps
  const { projectId, where, reason } = request
  const { matched, letters } = await previewRedrive(deps, request)
  await postgres.transaction(async (tx) => {
    await writeDecisions(tx, projectId, 'drop', letters)
    const details = { where, reason, letters: letters.length }
    const states = { before: { state: 'open' }, after: { state: 'dropped' } }
    await writeAudit(tx, { actor, action: 'letters.drop', projectId, subject: projectId, details, ...states })
  })
  return { matched, dropped: letters.map(({ id }) => id) }
}
