// What the properties of an event type have to look like.
import { schemaModes } from '@millrace/contracts'
import type { SchemaMode } from '@millrace/contracts'
import { listSchemas, pushSchema, setSchemaMode } from '@millrace/operations/schemas'
import type { SchemaAdmin, SchemaPlace } from '@millrace/operations/schemas'
import { route } from '../route.ts'
import type { Members, OpsRoute } from '../route.ts'
import { ofProject, projectParams, text } from '../rules.ts'

export type SchemaRouteDeps = SchemaAdmin

const place: Members = {
  properties: { ...projectParams.properties, eventType: text('The event type.', { maxLength: 100 }) }
}
const mode = { enum: [...schemaModes], description: 'How strictly it is applied.', examples: ['warn'] }

/** List and register schemas, and say how strictly they are applied. */
export function createSchemaRoutes(deps: SchemaRouteDeps): readonly OpsRoute[] {
  return [
    route<{ query: { project?: string } }>({
      method: 'GET',
      path: '/v1/schemas',
      summary: 'The schema in force for each event type',
      query: ofProject,
      reply: { status: 200, description: 'By project and type.' },
      handle: async ({ query }) => ({ schemas: await listSchemas(deps.postgres, query.project) })
    }),
    route<{ params: SchemaPlace; body: { schema: unknown; mode?: SchemaMode } }>({
      method: 'PUT',
      path: '/v1/projects/:projectId/schemas/:eventType',
      summary: 'Register a schema as the next version and put it in force',
      description: 'The same schema as the one in force adds no version. Gateways follow within a minute.',
      params: place,
      body: {
        required: ['schema'],
        properties: {
          schema: {
            type: 'object',
            description: 'JSON Schema 2020-12 of the properties.',
            examples: [{ type: 'object', required: ['price'], properties: { price: { type: 'number' } } }]
          },
          mode
        }
      },
      reply: { status: 200, description: 'The version in force.' },
      problems: ['not_found'],
      handle: ({ params, body }) => pushSchema(deps, params, body.schema, body.mode)
    }),
    route<{ params: SchemaPlace; body: { mode: SchemaMode } }>({
      method: 'PATCH',
      path: '/v1/projects/:projectId/schemas/:eventType',
      summary: 'How strictly the schema of a type is applied',
      params: place,
      body: { required: ['mode'], properties: { mode } },
      reply: { status: 200, description: 'The version in force.' },
      problems: ['not_found'],
      handle: ({ params, body }) => setSchemaMode(deps, params, body.mode)
    })
  ]
}
