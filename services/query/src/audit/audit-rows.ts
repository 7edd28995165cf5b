// The table `query_audit` of PostgreSQL.
import type { Queryable } from '@millrace/stores/postgres'

/** One row. */
export interface AuditRow {
  readonly at: Date
  readonly projectId: string
  readonly keyId: string
  readonly endpoint: string
  readonly status: number
  readonly cache: string
  readonly queryId: string
  readonly sqlHash: string
  readonly sql: string | undefined
  readonly readBytes: number | undefined
  readonly tookMs: number
}

export interface AuditRows {
  /** Throws as PostgreSQL fails; then none is there. */
  insert(rows: readonly AuditRow[]): Promise<void>
  /** Deletes some thousand rows that are older; resolves with how many, and with 0 when none is left. */
  deleteBefore(at: Date): Promise<number>
}

const insertSql = `INSERT INTO query_audit
  (at, project_id, key_id, endpoint, status, cache, query_id, sql_sha256, sql, read_bytes, took_ms)
  SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::bigint[], $11::int[])`
const deleteSql = `DELETE FROM query_audit WHERE ctid IN (SELECT ctid FROM query_audit WHERE at < $1 LIMIT 5000)`

/** Rows in `postgres`, which is the primary. */
export function createAuditRows(postgres: Queryable): AuditRows {
  return {
    async insert(rows) {
      // PostgreSQL has no text with U+0000.
      const text = (of: (row: AuditRow) => string | undefined) =>
        rows.map((row) => of(row)?.replaceAll('\0', '\uFFFD') ?? null)
      await postgres.query(insertSql, [
        rows.map(({ at }) => at),
        text(({ projectId }) => projectId),
        text(({ keyId }) => keyId),
        text(({ endpoint }) => endpoint),
        rows.map(({ status }) => status),
        text(({ cache }) => cache),
        text(({ queryId }) => queryId),
        text(({ sqlHash }) => sqlHash),
        text(({ sql }) => sql),
        rows.map(({ readBytes }) => (readBytes === undefined ? null : Math.round(readBytes))),
        rows.map(({ tookMs }) => Math.round(tookMs))
      ])
    },
    async deleteBefore(at) {
      const [row] = await postgres.query<{ count: string }>(
        `WITH gone AS (${deleteSql} RETURNING 1) SELECT count(*)::text AS count FROM gone`,
        [at]
      )
      return Number(row?.count ?? 0)
    }
  }
}
