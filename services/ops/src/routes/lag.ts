// What the monitor sees: lag of every group, produce rates, and alerts that are active.
import type { Monitor } from '../monitor/monitor.ts'
import { route } from '../route.ts'
import type { OpsRoute } from '../route.ts'
import { ofProject, text } from '../rules.ts'
import { parseTopic } from '@millrace/contracts'

export interface LagRouteDeps {
  readonly monitor: Pick<Monitor, 'view' | 'alerts'>
}

/** Lag and alerts. */
export function createLagRoutes({ monitor }: LagRouteDeps): readonly OpsRoute[] {
  const isOf = (project: string | undefined) => (row: { topic: string }) =>
    project === undefined || parseTopic(row.topic)?.parameter === project
  return [
    route<{ query: { project?: string; group?: string } }>({
      method: 'GET',
      path: '/v1/lag',
      summary: 'How far each consumer group is behind, by partition',
      description:
        'As of the last sample, by the position of the sink: Redis for the aggregators, PostgreSQL for the archivers, commits for the others. `seconds` is the age of the next record.',
      query: { properties: { ...ofProject.properties, group: text('Only this consumer group.') } },
      reply: {
        status: 200,
        description:
          'Rows by group and partition, the produce rate of each partition, and `unknown`: groups whose position could not be asked.'
      },
      handle: async ({ query: { project, group } }) => {
        const { atMs, rows, partitions, unknown } = monitor.view()
        return {
          sampledAt: atMs === 0 ? null : new Date(atMs).toISOString(),
          rows: rows.filter(isOf(project)).filter((row) => group === undefined || row.group === group),
          partitions: partitions.filter(isOf(project)),
          unknown: unknown.filter((each) => group === undefined || each.group === group)
        }
      }
    }),
    route({
      method: 'GET',
      path: '/v1/alerts',
      summary: 'Alerts about lag and hot partitions that are active',
      reply: { status: 200, description: 'The oldest first.' },
      handle: async () => ({ alerts: monitor.alerts() })
    })
  ]
}
