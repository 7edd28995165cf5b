// The most frequent values of a property, by events or by distinct persons, and what the others amount to. Events that do
// not have the property are left out. Pure.
import type { QueryAnswer } from '../run-query.ts'
import { createBinding, identities, inSpan, subjectOf } from './bound.ts'
import type { BoundQuery, Identity } from './bound.ts'
import { filtersSql, readFilters, readProperty, valueSql } from './filters.ts'
import type { Filter } from './filters.ts'
import { readCount, readJson, readObject, readOneOf, readText } from './input.ts'
import { iso, readSpan } from './span.ts'
import type { Span } from './span.ts'

export interface TopQuestion {
  readonly dimension: string
  readonly span: Span
  readonly by: 'events' | 'users'
  readonly limit: number
  readonly eventType: string | undefined
  readonly filters: readonly Filter[]
  readonly identity: Identity
}

const members = ['startTime', 'endTime', 'timezone', 'by', 'limit', 'eventType', 'filters', 'identity']
const mostValues = 200

/** Reads the address of `GET /v1/top/:dimension`. Throws WrongInput. */
export function readTop(dimension: string, query: unknown, nowMs: number): TopQuestion {
  const read = readObject(query, '', members)
  return {
    dimension: readProperty(dimension, '/dimension'),
    span: readSpan(read, nowMs, 7),
    by: readOneOf(read['by'], '/by', ['events', 'users']),
    limit: readCount(read['limit'], '/limit', 10, mostValues),
    eventType: read['eventType'] === undefined ? undefined : readText(read['eventType'], '/eventType'),
    filters: readFilters(readJson(read['filters'], '/filters'), '/filters'),
    identity: readOneOf(read['identity'], '/identity', identities)
  }
}

/** Rows `[value, kind, events, users]`; kind 0: one value, the empty one the others together; 1: all. */
export function topQuery({ dimension, span, by, limit, eventType, filters, identity }: TopQuestion): BoundQuery {
  const { bind, params } = createBinding()
  const value = valueSql(dimension, bind)
  const events = [
    inSpan(span, bind),
    ...(eventType === undefined ? [] : [`eventType = ${bind(eventType, 'String')}`]),
    ...filtersSql(filters, bind),
    `value != ''`
  ].join(' AND ')
  const person = subjectOf(identity)
  const users = `uniqExactIf(person, person != '')`
  const order = by === 'events' ? 'count()' : users
  const source = `(SELECT ${value} AS value, ${person} AS person FROM events WHERE ${events})`
  const sql = `WITH (
    SELECT groupArray(value) FROM (
      SELECT value FROM ${source} GROUP BY value ORDER BY ${order} DESC, value LIMIT ${limit}
    )
  ) AS top
  SELECT if(has(top, value), value, '') AS shown, grouping(shown) AS kind, count() AS events, ${users} AS users
  FROM ${source} GROUP BY GROUPING SETS ((shown), ()) ORDER BY kind, ${by} DESC, shown`
  return { sql, params }
}

interface Count {
  readonly events: number
  readonly users: number
}

/** The reply. Shares are of all events, or of all persons; a person can be at several values. */
export function toTop({ dimension, span, by, identity }: TopQuestion, { rows }: Pick<QueryAnswer, 'rows'>): object {
  const read = rows.map(([value, kind, events, users]) => ({
    value: String(value),
    kind: Number(kind),
    count: { events: Number(events), users: Number(users) }
  }))
  const none = { events: 0, users: 0 }
  const total: Count = read.find(({ kind }) => kind === 1)?.count ?? none
  const share = (count: Count): number | null => (total[by] === 0 ? null : count[by] / total[by])
  const other = read.find(({ kind, value }) => kind === 0 && value === '')?.count ?? none
  return {
    dimension,
    by,
    identity,
    startTime: iso(span.fromMs),
    endTime: iso(span.toMs),
    total,
    values: read
      .filter(({ kind, value }) => kind === 0 && value !== '')
      .map(({ value, count }) => ({ value, ...count, share: share(count) })),
    other: { ...other, share: share(other) }
  }
}
