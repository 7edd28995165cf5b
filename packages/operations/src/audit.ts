// One row of the audit log, written in the transaction of the change it tells of. Writers take turns until they commit:
// the rows are a chain (audit-log.ts).
import type { Queryable } from '@millrace/stores/postgres'

export type AuditAction =
  | 'project.create'
  | 'project.set'
  | 'key.create'
  | 'key.revoke'
  | 'schema.push'
  | 'schema.mode'
  | 'metric.define'
  | 'epoch.new'
  | 'epoch.flip'
  | 'epoch.abort'
  | 'identity.merge'
  | 'identity.undo'
  | 'drop.add'
  | 'drop.remove'
  | 'topics.grow'
  | 'letters.redrive'
  | 'letters.redriven'
  | 'letters.drop'
  | 'group.resume'
  | 'replay.start'
  | 'replay.resume'
  | 'replay.run'
  | 'replay.done'
  | 'replay.failed'
  | 'replay.abort'
  | 'replay.aborted'

export interface AuditEntry {
  /** Who: `cli:<user>` or `api:<key id>`. */
  readonly actor: string
  readonly action: AuditAction
  /** Null: it is about the deployment. */
  readonly projectId: string | null
  /** What was changed: a project or key id. Never a secret. */
  readonly subject: string
  readonly details?: Readonly<Record<string, unknown>>
  /** What it was before and is after the change. */
  readonly before?: unknown
  readonly after?: unknown
}

/** Appends `entry`; the time is the database's. */
export async function writeAudit(
  tx: Queryable,
  { actor, action, projectId, subject, details, before, after }: AuditEntry
): Promise<void> {
  await tx.query(
    `INSERT INTO audit_log (actor, action, project_id, subject, details, before, after)
     VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb)`,
    [actor, action, projectId, subject, JSON.stringify(details ?? {}), toJsonb(before), toJsonb(after)]
  )
}

function toJsonb(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value)
}
