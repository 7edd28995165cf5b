// Epochs of the live state: what there is, and the build that is under way. One begins as a replay of `aggregate`.
import type { EpochBuilds } from '../epochs/builds.ts'
import { route } from '../route.ts'
import type { OpsRoute } from '../route.ts'
import { projectParams } from '../rules.ts'

export interface EpochRouteDeps {
  readonly epochBuilds: Pick<EpochBuilds, 'plan' | 'begin' | 'resume' | 'abort' | 'last' | 'epochs'>
}

type Place = { readonly projectId: string }

/** Show, go on with and give up builds of the live state. */
export function createEpochRoutes({ epochBuilds }: EpochRouteDeps): readonly OpsRoute[] {
  return [
    route<{ params: Place }>({
      method: 'GET',
      path: '/v1/projects/:projectId/epochs',
      summary: 'Builds of the live state',
      params: projectParams,
      reply: {
        status: 200,
        description: 'The epochs by number, and `build`: the last one that this process began or went on with.'
      },
      problems: ['not_found'],
      handle: async ({ params: { projectId } }) => ({
        epochs: await epochBuilds.epochs(projectId),
        build: epochBuilds.last(projectId) ?? null
      })
    }),
    route<{ params: Place }>({
      method: 'POST',
      path: '/v1/projects/:projectId/epochs/resume',
      summary: 'Go on with a build that was interrupted, and put it in force',
      description: 'A build that ended with its process stays as it is; the epoch in force knows nothing of it.',
      params: projectParams,
      reply: { status: 200, description: 'The build; it is filled from where it was.' },
      problems: ['not_found', 'conflict'],
      handle: async ({ params: { projectId } }) => await epochBuilds.resume(projectId)
    }),
    route<{ params: Place }>({
      method: 'POST',
      path: '/v1/projects/:projectId/epochs/abort',
      summary: 'Give up the build that is under way',
      description: 'Its keys are deleted; the epoch in force goes on.',
      params: projectParams,
      reply: { status: 200, description: 'The build that was given up.' },
      problems: ['not_found', 'conflict'],
      handle: async ({ params: { projectId } }) => await epochBuilds.abort(projectId)
    })
  ]
}
