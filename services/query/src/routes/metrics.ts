// GET /v1/metrics and GET /v1/metrics/:name: what is counted, and the numbers.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sessionMetrics } from '@millrace/aggregation/metric-messages'
import { derivedMetrics } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import { AppError } from '@millrace/kernel'
import { writeMeaning } from '@millrace/operations/metric-definition-rules'
import { sendProblem } from '@millrace/service'
import type { MetricAnswer } from '@millrace/serving/metric-answer'
import { readDimensions } from '@millrace/serving/read-dimensions'
import type { DimensionsAnswer } from '@millrace/serving/read-dimensions'
import { readMetric } from '@millrace/serving/read-metric'
import { readZoneDays } from '@millrace/serving/read-zone-days'
import type { CacheUse } from '../cache/answers.ts'
import { createMetricReader } from '../metric-reader.ts'
import type { MetricSources } from '../metric-reader.ts'
import { readMetricQuestion } from '../metric-question.ts'
import type { Split } from '../metric-question.ts'
import { readOptions } from '../request-options.ts'
import { handler } from './answer-request.ts'
import type { Caller, RequestDeps } from './answer-request.ts'

export interface MetricRouteDeps extends RequestDeps {
  readonly metricSources: MetricSources
}

/** What the metrics mean that every project has. */
const descriptions: Readonly<Record<string, string>> = {
  events: 'Events, all of them or of one type.',
  active_users: 'Distinct users; of events without a user, distinct anonymous ids.',
  daily_active_users: 'Distinct users of a day.',
  page_views: 'Events of the type page_view, all of them or of one path.',
  sessions: 'Distinct sessions with an event.',
  conversions: 'Events of the types that count as a conversion.',
  revenue: 'Sum of the property revenue of conversions.',
  bounce_rate: 'Share of the sessions begun that had one page view at most and no conversion.',
  session_duration: 'Mean length of the sessions begun, ms.'
}

/** Adds the routes to `app`. */
export function addMetricRoutes(app: FastifyInstance, deps: MetricRouteDeps): void {
  app.get(
    '/v1/metrics',
    handler(deps, '/v1/metrics', async (_request, reply, { projectId }) => {
      const found = await definitionsOf(deps, projectId, reply)
      return Array.isArray(found) ? reply.send({ metrics: toList(found) }) : reply
    })
  )
  app.get<{ Params: { name: string } }>(
    '/v1/metrics/:name',
    handler(deps, '/v1/metrics/:name', (request, reply, caller) => answer(request, reply, caller, deps))
  )
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  caller: Caller,
  { metricSources, clock, metrics }: MetricRouteDeps
): Promise<FastifyReply> {
  const options = readOptions(request.headers)
  if (!options.ok) return sendProblem(reply, 'invalid_request', { detail: options.detail, header: options.header })
  const { name } = request.params as { readonly name: string }
  const query = request.query as Readonly<Record<string, unknown>>
  const read = readMetricQuestion(caller.projectId, name, query, clock.now())
  if (!read.ok) return sendProblem(reply, 'invalid_field', { detail: read.detail, parameter: read.parameter })
  const uses: CacheUse[] = []
  const reader = createMetricReader(metricSources, caller, options.options, (use) => uses.push(use))
  try {
    const { question, zone } = read
    const body =
      read.split === undefined
        ? toShown(await (zone === undefined ? readMetric(reader, question) : readZoneDays(reader, question, zone)))
        : toSplit(await readDimensions(reader, question, read.split.limit), read.split)
    const use = useOf(uses)
    metrics.cache.add(1, { use: use.toLowerCase() })
    return await reply.header('x-cache', use).send(body)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    if (error.code === 'PIPE_NOT_FOUND') return sendProblem(reply, 'not_found', { detail: error.message })
    if (error.code === 'PIPE_INVALID_INPUT') return sendProblem(reply, 'invalid_field', { detail: error.message })
    if (error.code === 'PIPE_LIVE_STATE') return sendProblem(reply, 'unavailable', { detail: error.message })
    throw error
  }
}

/** What all that was asked of the warehouse amounts to; numbers of the live state are never from the cache. */
function useOf(uses: readonly CacheUse[]): CacheUse {
  if (uses.length === 0) return 'BYPASS'
  return (['STALE', 'BYPASS', 'MISS'] as const).find((each) => uses.includes(each)) ?? 'HIT'
}

async function definitionsOf(
  { metricSources }: MetricRouteDeps,
  projectId: string,
  reply: FastifyReply
): Promise<readonly MetricDefinition[] | FastifyReply> {
  try {
    return await metricSources.definitionsOf(projectId)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return sendProblem(reply, 'unavailable', { detail: error.message })
  }
}

/** The newest version of each metric. */
function toList(definitions: readonly MetricDefinition[]): readonly object[] {
  const newest = new Map(definitions.map((definition) => [definition.name, definition]))
  const described = (name: string) => (descriptions[name] === undefined ? {} : { description: descriptions[name] })
  return [
    ...[...newest.values()].map((definition) => {
      const { name, version, effectiveFromMs } = definition
      const effectiveFrom = effectiveFromMs === 0 ? {} : { effectiveFrom: iso(effectiveFromMs) }
      return { name, ...described(name), version, ...effectiveFrom, ...writeMeaning(definition) }
    }),
    ...[...derivedMetrics].map(([name, { of, granularity }]) => ({
      name,
      ...described(name),
      of,
      granularities: [granularity]
    })),
    ...sessionMetrics.map((name) => ({ name, ...described(name), measure: { kind: 'ratio' }, granularities: ['1h'] }))
  ]
}

function toShown({ data, ...answered }: MetricAnswer): object {
  return { ...answered, data: data.map(({ timestampMs, ...point }) => ({ timestamp: iso(timestampMs), ...point })) }
}

function toSplit({ dimensions, total, values }: DimensionsAnswer, { names }: Split): object {
  if (names.join() !== dimensions.join())
    throw new AppError('PIPE_INVALID_INPUT', `'${total.metric}' has the dimensions ${dimensions.join(',')}`)
  return { ...toShown(total), dimensions, values: values.map((value) => toShown(value)) }
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString()
}
