// API keys of projects. A key is shown once, by the reply that made it.
import { createKey, listKeys, revokeKey } from '@millrace/operations/keys'
import type { KeyAdmin } from '@millrace/operations/keys'
import { route } from '../route.ts'
import type { OpsRoute } from '../route.ts'
import { ofProject, projectParams, text } from '../rules.ts'

export type KeyRouteDeps = KeyAdmin

/** List, create and revoke keys. */
export function createKeyRoutes(deps: KeyRouteDeps): readonly OpsRoute[] {
  const { postgres } = deps
  return [
    route<{ query: { project?: string } }>({
      method: 'GET',
      path: '/v1/keys',
      summary: 'API keys, revoked ones included; never the secrets',
      query: ofProject,
      reply: { status: 200, description: 'Oldest first.' },
      problems: ['not_found'],
      handle: async ({ query }) => ({ keys: await listKeys(postgres, query.project) })
    }),
    route<{ params: { projectId: string }; body: { kind: 'write' | 'secret'; expiresAt?: string } }>({
      method: 'POST',
      path: '/v1/projects/:projectId/keys',
      summary: 'Make a key',
      description: 'It works at once and is shown once. Every call makes another one.',
      params: projectParams,
      body: {
        required: ['kind'],
        properties: {
          kind: {
            enum: ['write', 'secret'],
            description: 'write: may only send; secret: may read, too.',
            examples: ['write']
          },
          expiresAt: { type: 'string', format: 'date-time', description: 'It is refused from then on.' }
        }
      },
      reply: { status: 201, description: 'The whole key.' },
      problems: ['not_found'],
      handle: ({ params, body: { kind, expiresAt } }) =>
        createKey(deps, { ...params, kind, ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt) }) })
    }),
    route<{ params: { keyId: string } }>({
      method: 'DELETE',
      path: '/v1/keys/:keyId',
      summary: 'Revoke a key',
      description: 'Services turn it away within a minute. Revoking it again changes nothing.',
      params: { properties: { keyId: text('The id, not the key.', { maxLength: 20 }) } },
      reply: { status: 200, description: 'It is revoked.' },
      problems: ['not_found'],
      handle: async ({ params: { keyId } }) => {
        await revokeKey(deps, keyId)
        return { keyId, revoked: true }
      }
    })
  ]
}
