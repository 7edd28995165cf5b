// What the warehouse shows of a project, by the same views and tables that people ask.
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { WarehouseFacts } from './world.ts'

const ms = (column: string): string => `toString(toUnixTimestamp64Milli(${column}))`

/** Throws PIPE_CLICKHOUSE_UNAVAILABLE, PIPE_CLICKHOUSE_QUERY. */
export async function readFacts(clickhouse: Pick<Clickhouse, 'rows'>, project: string): Promise<WarehouseFacts> {
  const texts = async (sql: string): Promise<string[]> =>
    (await clickhouse.rows<{ text: string }>(sql, { project })).map(({ text }) => text)
  const ids = await clickhouse.rows<{ eventId: string; shown: string }>(
    'SELECT eventId, count() AS shown FROM events WHERE projectId = {project:String} GROUP BY eventId',
    { project }
  )
  return {
    events: new Map(ids.map(({ eventId, shown }) => [eventId, Number(shown)])),
    sums: await texts(
      `SELECT concatWithSeparator(' ', eventType, toString(count()), toString(sum(JSONExtractInt(properties, 'n')))) AS text
       FROM events WHERE projectId = {project:String} GROUP BY eventType`
    ),
    firstSeen: await texts(
      `SELECT concatWithSeparator(' ', idKind, id, ${ms('min(firstSeenAt)')}) AS text
       FROM first_seen WHERE projectId = {project:String} GROUP BY idKind, id`
    ),
    links: await texts(
      `SELECT concatWithSeparator(' ', anonymousId, eventId, userId, ${ms('timestamp')}) AS text
       FROM identity_links FINAL WHERE projectId = {project:String}`
    ),
    sessions: await texts(
      `SELECT concatWithSeparator(' ', sessionId, toString(totalEvents), ${ms('startedAt')}, ${ms('lastEventAt')}) AS text
       FROM sessions WHERE projectId = {project:String}`
    )
  }
}
