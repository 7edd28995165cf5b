// Metric definitions of projects, by version.
import { parseMeaning, writeMeaning } from '@millrace/operations/metric-definition-rules'
import { defineMetric, listDefinitions } from '@millrace/operations/metric-definitions'
import type { MetricAdmin, ProjectDefinition } from '@millrace/operations/metric-definitions'
import { route } from '../route.ts'
import type { OpsRoute } from '../route.ts'
import { ofProject, projectParams, text } from '../rules.ts'

export type MetricRouteDeps = MetricAdmin

interface DefineBody {
  readonly definition: unknown
  readonly effectiveFrom?: string
}

/** List and define metrics. */
export function createMetricRoutes(deps: MetricRouteDeps): readonly OpsRoute[] {
  return [
    route<{ query: { project?: string } }>({
      method: 'GET',
      path: '/v1/metrics',
      summary: 'The metrics that projects defined, by version',
      query: ofProject,
      reply: { status: 200, description: 'Those that every project has are not among them.' },
      handle: async ({ query }) => ({ metrics: (await listDefinitions(deps.postgres, query.project)).map(toShown) })
    }),
    route<{ params: { projectId: string; name: string }; body: DefineBody }>({
      method: 'PUT',
      path: '/v1/projects/:projectId/metrics/:name',
      summary: 'Define a metric, or another version of one',
      description:
        'It counts from the next full hour on, or from `effectiveFrom`, never backwards. The same definition as the latest adds no version.',
      params: { properties: { ...projectParams.properties, name: text('The metric.', { maxLength: 63 }) } },
      body: {
        required: ['definition'],
        properties: {
          definition: {
            type: 'object',
            description: 'eventTypes, where, measure, dimensions, cap, granularities; all but measure may be left out.',
            examples: [{ eventTypes: ['purchase'], measure: { kind: 'sum', property: 'price' } }]
          },
          effectiveFrom: {
            type: 'string',
            format: 'date-time',
            description: 'A full hour at least five minutes ahead.'
          }
        }
      },
      reply: { status: 200, description: 'The version, and whether it was added.' },
      problems: ['not_found', 'conflict'],
      handle: async ({ params, body: { definition, effectiveFrom } }) => {
        const meaning = parseMeaning(definition)
        const from = effectiveFrom === undefined ? {} : { effectiveFromMs: new Date(effectiveFrom).getTime() }
        const { added, ...defined } = await defineMetric(deps, { ...params, meaning, ...from })
        return { ...toShown(defined), added }
      }
    })
  ]
}

function toShown({ projectId, definition }: ProjectDefinition): object {
  const { name, version, effectiveFromMs, ...meaning } = definition
  const effectiveFrom = new Date(effectiveFromMs).toISOString()
  return { projectId, name, version, effectiveFrom, definition: writeMeaning(meaning) }
}
