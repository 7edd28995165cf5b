// Drop rules: what an operator has the gateways turn away.
import { dropKinds } from '@millrace/contracts'
import type { DropKind } from '@millrace/contracts'
import { addDrop, listDrops, removeDrop } from '@millrace/operations/drop-rules'
import type { DropAdmin } from '@millrace/operations/drop-rules'
import { route } from '../route.ts'
import type { OpsRoute } from '../route.ts'
import { ofProject, projectParams, text } from '../rules.ts'

export type DropRouteDeps = DropAdmin

const subject = {
  kind: {
    type: 'string',
    enum: [...dropKinds],
    examples: ['eventType'],
    description: 'The field that the rule looks at.'
  },
  key: text('Its whole value.', { maxLength: 255, examples: ['heartbeat'] })
}

/** List, make and take back drop rules. */
export function createDropRoutes(deps: DropRouteDeps): readonly OpsRoute[] {
  return [
    route<{ query: { project?: string } }>({
      method: 'GET',
      path: '/v1/drops',
      summary: 'Events that gateways drop by rules of operators',
      query: ofProject,
      reply: { status: 200, description: 'Rules by project, the oldest first.' },
      problems: ['not_found'],
      handle: async ({ query: { project } }) => ({ drops: await listDrops(deps.postgres, project) })
    }),
    route<{ params: { projectId: string }; body: { kind: DropKind; key: string; reason?: string } }>({
      method: 'POST',
      path: '/v1/projects/:projectId/drops',
      summary: 'Drop events of a type, a user or a device',
      description: 'Gateways follow within a minute, refuse such events with `event_dropped`, and count them.',
      params: projectParams,
      body: { properties: { ...subject, reason: text('Why, for people.') }, required: ['kind', 'key'] },
      reply: { status: 201, description: 'The rule.' },
      problems: ['not_found'],
      handle: async ({ params: { projectId }, body: { kind, key, reason = '' } }) =>
        await addDrop(deps, { projectId, kind, key }, reason)
    }),
    route<{ params: { projectId: string }; query: { kind: DropKind; key: string } }>({
      method: 'DELETE',
      path: '/v1/projects/:projectId/drops',
      summary: 'Take a drop rule back',
      params: projectParams,
      query: { properties: subject, required: ['kind', 'key'] },
      reply: { status: 200, description: 'The rule that was.' },
      problems: ['not_found'],
      handle: async ({ params: { projectId }, query }) => await removeDrop(deps, { projectId, ...query })
    })
  ]
}
