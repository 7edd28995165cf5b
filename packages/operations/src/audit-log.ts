// Reading the audit log, and finding out whether somebody changed it. Every row carries a digest of itself and of the row
// before (schemas/postgres), so a row that is changed, removed or put in between breaks the chain behind it.
import type { Queryable, Row } from '@millrace/stores/postgres'

export interface AuditWanted {
  readonly projectId?: string
  readonly action?: string
  readonly actor?: string
  /** Only rows before this number. */
  readonly before?: number
  /** Rows at most. */
  readonly limit: number
}

export interface AuditRow {
  /** Place in the chain, from 1. */
  readonly number: number
  readonly at: Date
  readonly actor: string
  readonly action: string
  readonly projectId: string | null
  readonly subject: string
  readonly before: unknown
  readonly after: unknown
  readonly details: unknown
  /** SHA-256 of this row and the one before, hexadecimal. */
  readonly digest: string
}

export interface AuditPage {
  readonly rows: readonly AuditRow[]
  /** `before` of the next page. */
  readonly next?: number
}

interface AuditDbRow extends Row {
  readonly seq: string
  readonly at: Date
  readonly actor: string
  readonly action: string
  readonly project_id: string | null
  readonly subject: string
  readonly before: unknown
  readonly after: unknown
  readonly details: unknown
  readonly digest: string
}

/** Rows of the audit log, newest first. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function listAudit(postgres: Queryable, wanted: AuditWanted): Promise<AuditPage> {
  const { projectId, action, actor, before, limit } = wanted
  const found = await postgres.query<AuditDbRow>(
    `SELECT seq, at, actor, action, project_id, subject, before, after, details, encode(digest, 'hex') AS digest
     FROM audit_log WHERE ($1::text IS NULL OR project_id = $1) AND ($2::text IS NULL OR action = $2)
       AND ($3::text IS NULL OR actor = $3) AND ($4::bigint IS NULL OR seq < $4)
     ORDER BY seq DESC LIMIT $5`,
    [projectId ?? null, action ?? null, actor ?? null, before ?? null, limit + 1]
  )
  const rows = found.slice(0, limit).map(({ seq, project_id, ...row }) => ({
    number: Number(seq),
    projectId: project_id,
    ...row
  }))
  const last = rows.at(-1)
  return found.length > limit && last !== undefined ? { rows, next: last.number } : { rows }
}

export interface AuditHead {
  readonly number: number
  readonly digest: string
}

export interface AuditVerification {
  readonly intact: boolean
  readonly rows: number
  /** The last row; undefined while there is none. */
  readonly head?: AuditHead
  /** Number of the first row that is not as it was written, or before which one is missing. */
  readonly brokenAt?: number
}

/**
 * Goes through the whole chain. With `known`, a head that was kept elsewhere, rows that were cut off at the end are found,
 * too. Throws PIPE_POSTGRES_UNAVAILABLE.
 */
export async function verifyAudit(postgres: Queryable, known?: AuditHead): Promise<AuditVerification> {
  const [found] = await postgres.query<{
    rows: string
    broken: string | null
    head: string | null
    digest: string | null
  }>(
    `SELECT count(*) AS rows, min(seq) FILTER (WHERE place <> seq OR digest IS DISTINCT FROM expected) AS broken,
       max(seq) AS head, (SELECT encode(digest, 'hex') FROM audit_log ORDER BY seq DESC LIMIT 1) AS digest
     FROM (
       SELECT seq, digest, row_number() OVER chain AS place,
         audit_digest(lag(digest) OVER chain, audit_log) AS expected
       FROM audit_log WINDOW chain AS (ORDER BY seq)
     ) AS rows`
  )
  const rows = Number(found?.rows ?? 0)
  const head = found?.head == null ? {} : { head: { number: Number(found.head), digest: found.digest ?? '' } }
  const broken = found?.broken ?? (known === undefined ? undefined : await differsAt(postgres, known))
  return broken === undefined || broken === null
    ? { intact: true, rows, ...head }
    : { intact: false, rows, ...head, brokenAt: Number(broken) }
}

/** The number of `known` unless its row is as it was. */
async function differsAt(postgres: Queryable, known: AuditHead): Promise<number | undefined> {
  const same = await postgres.query(`SELECT 1 FROM audit_log WHERE seq = $1 AND encode(digest, 'hex') = $2`, [
    known.number,
    known.digest
  ])
  return same.length > 0 ? undefined : known.number
}
