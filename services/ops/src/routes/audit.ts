// The audit log: who changed what, and whether it is as it was written.
import { listAudit, verifyAudit } from '@millrace/operations/audit-log'
import type { AuditWanted } from '@millrace/operations/audit-log'
import type { Queryable } from '@millrace/stores/postgres'
import { route } from '../route.ts'
import type { OpsRoute } from '../route.ts'
import { ofProject, text, whole } from '../rules.ts'

export interface AuditRouteDeps {
  readonly postgres: Queryable
}

/** List and verify the audit log. */
export function createAuditRoutes({ postgres }: AuditRouteDeps): readonly OpsRoute[] {
  return [
    route<{ query: Omit<AuditWanted, 'projectId'> & { project?: string; limit: number } }>({
      method: 'GET',
      path: '/v1/audit',
      summary: 'The audit log, newest first',
      query: {
        properties: {
          ...ofProject.properties,
          action: text('Only this action, such as `key.revoke`.'),
          actor: text('Only this actor, such as `cli:ada` or `api:admin`.'),
          before: {
            type: 'integer',
            minimum: 1,
            description: 'Only rows before this number: the `next` of the reply before.'
          },
          limit: whole('Rows at most.', 1, 1_000, 100)
        }
      },
      reply: { status: 200, description: 'Rows, and `next` when there are more.' },
      handle: async ({ query: { project, ...wanted } }) =>
        await listAudit(postgres, { ...wanted, ...(project === undefined ? {} : { projectId: project }) })
    }),
    route({
      method: 'GET',
      path: '/v1/audit/verification',
      summary: 'Whether the audit log is as it was written',
      description:
        'Every row carries a digest of itself and the row before. `head` is the digest of the last one: keep it elsewhere, and rows cut off at the end are found, too.',
      reply: { status: 200, description: '`intact`, the head, and the first row that is not as it was.' },
      handle: async () => await verifyAudit(postgres)
    })
  ]
}
