// What people decided about dead letters: given up, or counted again by the day. A decision is about the copy that was
// there; when the letter is written anew, it is open again.
import type { Queryable, Row } from '@millrace/stores/postgres'
import type { LetterDecision, LetterPlace } from './letter-states.ts'

interface DecisionRow extends Row {
  readonly letter_id: string
  readonly kind: LetterDecision['kind']
  readonly partition: number
  readonly offset: string
}

/** The decisions about letters of a project, by the id of the letter. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function readDecisions(
  postgres: Queryable,
  projectId: string
): Promise<ReadonlyMap<string, LetterDecision>> {
  const rows = await postgres.query<DecisionRow>(
    'SELECT letter_id, kind, "partition", "offset" FROM letter_decisions WHERE project_id = $1',
    [projectId]
  )
  return new Map(
    rows.map(({ letter_id, kind, partition, offset }) => [
      letter_id,
      { kind, at: { partition, offset: BigInt(offset) } }
    ])
  )
}

/** Longer than a dead-letter topic keeps a letter. */
const keptDays = 60

/**
 * Notes one decision about several letters, and forgets those about letters that are long gone. May be repeated. Throws
 * PIPE_POSTGRES_UNAVAILABLE.
 */
export async function writeDecisions(
  postgres: Queryable,
  projectId: string,
  kind: LetterDecision['kind'],
  letters: readonly { readonly id: string; readonly at: LetterPlace }[]
): Promise<void> {
  await postgres.query(`DELETE FROM letter_decisions WHERE decided_at < now() - interval '${keptDays} days'`)
  if (letters.length === 0) return
  const rows = letters.map(({ id, at }) => ({ letter_id: id, partition: at.partition, offset: String(at.offset) }))
  await postgres.query(
    `INSERT INTO letter_decisions (letter_id, project_id, kind, "partition", "offset")
     SELECT letter_id, $1, $2, "partition", "offset"
     FROM jsonb_to_recordset($3::jsonb) AS made(letter_id text, "partition" integer, "offset" bigint)
     ON CONFLICT (letter_id) DO UPDATE SET kind = EXCLUDED.kind, "partition" = EXCLUDED."partition",
       "offset" = EXCLUDED."offset", decided_at = now()`,
    [projectId, kind, JSON.stringify(rows)]
  )
}
