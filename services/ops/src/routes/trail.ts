// Where one event is, and what the comparison of log and sinks found last.
import type { Clock } from '@millrace/kernel'
import { lastReconciliations } from '@millrace/operations/reconciliations'
import { trailOf } from '@millrace/operations/trail'
import type { TrailDeps } from '@millrace/operations/trail'
import { route } from '../route.ts'
import type { OpsRoute } from '../route.ts'
import { text } from '../rules.ts'

export interface TrailRouteDeps {
  readonly clock: Clock
  readonly trail: Omit<TrailDeps, 'nowMs'>
}

/** The trail of an event, and the last comparison. */
export function createTrailRoutes({ clock, trail }: TrailRouteDeps): readonly OpsRoute[] {
  return [
    route<{ params: { eventId: string }; query: { project: string; around?: string } }>({
      method: 'GET',
      path: '/v1/events/:eventId/trail',
      summary: 'Where one event is',
      description:
        'Its record in the log, the position of each group against it, the row of the warehouse, the file of the archive and its dead letters. `place` is null when nobody knows of it; `problems` names the stores that could not be asked, which may.',
      params: { properties: { eventId: text('The id of the event.', { maxLength: 128 }) } },
      query: {
        properties: {
          project: text('The project.', { maxLength: 39 }),
          around: {
            type: 'string',
            format: 'date-time',
            description: 'The log is searched ten minutes around this time when nothing else knows the event.'
          }
        },
        required: ['project']
      },
      reply: { status: 200, description: 'The trail.' },
      problems: ['not_found'],
      handle: async ({ params: { eventId }, query: { project: projectId, around } }) => {
        const aroundMs = around === undefined ? undefined : Date.parse(around)
        const { place = null, ...found } = await trailOf(
          { ...trail, nowMs: clock.now() },
          { projectId, eventId, aroundMs }
        )
        return { ...found, place }
      }
    }),
    route({
      method: 'GET',
      path: '/v1/reconciliation',
      summary: 'What the last comparison of log, warehouse, dead letters and live hours found',
      description:
        'The last result of each project, with its age, whichever process made it and whenever that began. `endedAt` is null while there is none.',
      reply: { status: 200, description: 'When it ended, what each project lacks, and which could not be compared.' },
      handle: () => lastReconciliations(trail.postgres, clock.now())
    })
  ]
}
