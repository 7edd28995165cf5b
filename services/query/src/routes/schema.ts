// GET /v1/schema: what can be asked: tables with their columns, and what the properties of each event type hold.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sendProblem } from '@millrace/service'
import type { TableSchema } from '../table-schema.ts'
import { handler } from './answer-request.ts'
import type { Caller } from './answer-request.ts'
import { answerFixed } from './fixed-question.ts'
import type { FixedQuestionDeps } from './fixed-question.ts'

export interface SchemaRouteDeps extends FixedQuestionDeps {
  readonly schema: Pick<TableSchema, 'tables' | 'version'>
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
  deps: SchemaRouteDeps
): Promise<FastifyReply> {
  const tables = deps.schema.tables()
  if (tables === undefined) return sendProblem(reply, 'unavailable', { detail: 'the warehouse does not answer' })
  const version = deps.schema.version()
  return await answerFixed(request, reply, caller, deps, {
    kind: 'schema-1',
    sql: propertiesSql,
    params: {},
    // What is there of a week hardly changes in minutes.
    kept: 'closed',
    toReply: ({ rows }) => ({ version, tables, eventTypes: toEventTypes(rows) })
  })
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
