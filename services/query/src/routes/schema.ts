// GET /v1/schema: what can be asked: tables with their columns, and what the properties of each event type hold.
import { randomUUIDv7 } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sendProblem } from '@millrace/service'
import type { Priority } from '../bulkhead.ts'
import type { Answers, Made } from '../cache/answers.ts'
import type { cacheKeyOf } from '../cache/cache-key.ts'
import type { Engine } from '../engine.ts'
import { readOptions } from '../request-options.ts'
import { toAnswer } from '../run-query.ts'
import type { TableSchema } from '../table-schema.ts'
import { handler, sendAnswer } from './answer-request.ts'
import type { Caller, RequestDeps } from './answer-request.ts'

export interface SchemaRouteDeps extends RequestDeps {
  readonly schema: Pick<TableSchema, 'tables' | 'version'>
  readonly answers: Answers
  readonly engine: Engine
  readonly keyOf: typeof cacheKeyOf
}

const endpoint = '/v1/schema'

/** Members of the properties in a sample of the last week, the most frequent of each type; ours, not a client's. */
const propertiesSql = `SELECT eventType, key, count() AS events, topK(1)(type)[1] AS type FROM (
  SELECT eventType, pair.1 AS key, JSONType(pair.2) AS type FROM (
    SELECT eventType, arrayJoin(JSONExtractKeysAndValuesRaw(properties)) AS pair FROM (
      SELECT eventType, properties FROM events WHERE timestamp >= now() - INTERVAL 7 DAY LIMIT 100000
    )
  )
) GROUP BY eventType, key ORDER BY eventType, events DESC, key LIMIT 20 BY eventType LIMIT 2000`

/** Adds the route to `app`. */
export function addSchemaRoutes(app: FastifyInstance, deps: SchemaRouteDeps): void {
  app.get(
    endpoint,
    handler(deps, endpoint, (request, reply, caller) => answer(request, reply, caller, deps))
  )
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  caller: Caller,
  { schema, answers, engine, keyOf, metrics }: SchemaRouteDeps
): Promise<FastifyReply> {
  const read = readOptions(request.headers)
  if (!read.ok) return sendProblem(reply, 'invalid_request', { detail: read.detail, header: read.header })
  const tables = schema.tables()
  if (tables === undefined) return sendProblem(reply, 'unavailable', { detail: 'the warehouse does not answer' })
  const { projectId } = caller
  const { priority, use, allowStale } = read.options
  const common = { sql: propertiesSql, params: {} }
  const key = keyOf({ projectId, kind: 'schema-1', schemaVersion: schema.version(), format: 'json', ...common })
  const make = async (signal: AbortSignal, given: Priority): Promise<Made> => {
    const queryId = randomUUIDv7()
    const asked = { ...caller, ...common, signal, queryId, format: 'JSONCompact', priority: given }
    const { rows } = toAnswer(await engine.ask(asked))
    const body = JSON.stringify({ version: schema.version(), tables, eventTypes: toEventTypes(rows) })
    const contentType = 'application/json; charset=utf-8'
    // What is there of a week hardly changes in minutes.
    return { status: 200, contentType, queryId, body: Buffer.from(body), kept: 'closed' }
  }
  const question = { projectId, key, priority, deadlineMs: caller.deadlineMs, use, allowStale, make }
  const found = await answers.ask(question, caller.signal)
  return sendAnswer(reply, found, metrics)
}

/** The types of JSON by the names that JSONType has for them. */
const jsonTypes: Readonly<Record<string, string>> = {
  Int64: 'number',
  UInt64: 'number',
  Double: 'number',
  Bool: 'boolean',
  String: 'string',
  Array: 'array',
  Object: 'object',
  Null: 'null'
}

function toEventTypes(rows: readonly (readonly unknown[])[]): readonly object[] {
  const byType = Map.groupBy(rows, ([eventType]) => String(eventType))
  return [...byType].map(([eventType, members]) => ({
    eventType,
    properties: members.map(([, name, events, type]) => ({ name, type: jsonTypes[String(type)] ?? 'unknown', events }))
  }))
}
