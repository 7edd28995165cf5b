// A row as one line of JSON: what the loader inserts (JSONEachRow) and the processor publishes. Members in the order of
// the columns, which is the order in which the server looks for them.
import type { EventRow } from './columns.ts'
import { quoteJson } from './quote-json.ts'
import { createTimeText } from './time-text.ts'

const timeText = createTimeText()

/** `row` as JSON without a line end. Times are ISO 8601 in UTC; `version` is a text, since it exceeds 2^53. */
export function toRowLine(row: EventRow): string {
  return `{"projectId":"${row.projectId}","eventId":${quoteJson(row.eventId)},"eventType":"${row.eventType}","userId":${quoteJson(
    row.userId
  )},"anonymousId":${quoteJson(row.anonymousId)},"sessionId":${quoteJson(row.sessionId)},"timestamp":${time(
    row.timestamp
  )},"sentAt":${row.sentAt === null ? 'null' : time(row.sentAt)},"receivedAt":${time(row.receivedAt)},"appendedAt":${time(
    row.appendedAt
  )},"latenessMs":${row.latenessMs},"url":${quoteJson(row.url)},"path":${quoteJson(row.path)},"referrer":${quoteJson(
    row.referrer
  )},"title":${quoteJson(row.title)},"campaignSource":${quoteJson(row.campaignSource)},"campaignMedium":${quoteJson(
    row.campaignMedium
  )},"campaignName":${quoteJson(row.campaignName)},"campaignTerm":${quoteJson(row.campaignTerm)},"campaignContent":${quoteJson(
    row.campaignContent
  )},"trafficSource":"${row.trafficSource}","userAgent":${quoteJson(row.userAgent)},"deviceType":"${row.deviceType}","os":"${
    row.os
  }","browser":"${row.browser}","isBot":${row.isBot},"ip":${quoteJson(row.ip)},"country":${quoteJson(
    row.country
  )},"locale":${quoteJson(row.locale)},"libraryName":${quoteJson(row.libraryName)},"libraryVersion":${quoteJson(
    row.libraryVersion
  )},"properties":${quoteJson(row.properties)},"schemaVersion":${row.schemaVersion},"enrichVersion":${
    row.enrichVersion
  },"topic":"${row.topic}","partition":${row.partition},"offset":${row.offset},"version":"${row.version}"}`
}

function time(ms: number): string {
  return `"${timeText(ms)}"`
}
