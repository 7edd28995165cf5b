// Projects and their settings.
import { projectSettingFields } from '@millrace/contracts'
import { setProject, showProject } from '@millrace/operations/project-settings'
import { createProject, listProjects } from '@millrace/operations/projects'
import type { ProjectAdmin } from '@millrace/operations/projects'
import { route } from '../route.ts'
import type { OpsRoute } from '../route.ts'
import { projectParams, text } from '../rules.ts'

export type ProjectRouteDeps = ProjectAdmin

type Place = { readonly projectId: string }

/** List, create, show and change projects. */
export function createProjectRoutes(deps: ProjectRouteDeps): readonly OpsRoute[] {
  const { postgres, actor } = deps
  const settings = Object.entries(projectSettingFields).map(([name, { doc }]) => `\`${name}\`: ${doc}`)
  return [
    route({
      method: 'GET',
      path: '/v1/projects',
      summary: 'All projects',
      reply: { status: 200, description: 'By id.' },
      handle: async () => ({ projects: await listProjects(postgres) })
    }),
    route<{ body: { projectId: string; name?: string } }>({
      method: 'POST',
      path: '/v1/projects',
      summary: 'Create a project',
      description:
        'Its topics are made first, then the project with a write key and a secret key, both shown once. A call that failed may be repeated; a project that exists is a `conflict`.',
      body: {
        required: ['projectId'],
        properties: {
          projectId: text('1 to 39 of a-z, 0-9 and -, not - first.', { maxLength: 39, examples: ['shop'] }),
          name: text('Name for people; the id when absent.', { maxLength: 200, examples: ['Web shop'] })
        }
      },
      reply: { status: 201, description: 'The project and its keys.' },
      problems: ['conflict'],
      handle: ({ body }) => createProject(deps, body)
    }),
    route<{ params: Place }>({
      method: 'GET',
      path: '/v1/projects/:projectId',
      summary: 'A project and its settings, as services understand them',
      params: projectParams,
      reply: { status: 200, description: 'The project.' },
      problems: ['not_found'],
      handle: ({ params }) => showProject(postgres, params.projectId)
    }),
    route<{ params: Place; body: { settings: Readonly<Record<string, string>> } }>({
      method: 'PATCH',
      path: '/v1/projects/:projectId',
      summary: 'Change settings of a project',
      description: `All of the changes or none; an empty text is the default again. Services follow within a minute.\n\n${settings.join('\n\n')}`,
      params: projectParams,
      body: {
        required: ['settings'],
        properties: {
          settings: {
            type: 'object',
            additionalProperties: { type: 'string' },
            description: 'Settings by name.',
            examples: [{ 'limits.project.eventsPerSecond': '1000' }]
          }
        }
      },
      reply: { status: 200, description: 'The project as it is now.' },
      problems: ['not_found'],
      handle: ({ params, body }) => setProject({ postgres, actor }, params.projectId, Object.entries(body.settings))
    })
  ]
}
