// A row as one line of JSON: what the loader inserts (JSONEachRow) and the processor publishes. Members in the order of
// the columns, which is the order in which the server looks for them.
import type { EventRow } from './columns.ts'
import { createTimeText } from './time-text.ts'

const timeText = createTimeText()

/** `row` as JSON without a line end. Times are ISO 8601 in UTC; `version` is a text, since it exceeds 2^53. */
export function toRowLine(row: EventRow): string {
  return `{"projectId":"${row.projectId}","eventId":${text(row.eventId)},"eventType":"${row.eventType}","userId":${text(
    row.userId
  )},"anonymousId":${text(row.anonymousId)},"sessionId":${text(row.sessionId)},"timestamp":${time(
    row.timestamp
  )},"sentAt":${row.sentAt === null ? 'null' : time(row.sentAt)},"receivedAt":${time(row.receivedAt)},"appendedAt":${time(
    row.appendedAt
  )},"latenessMs":${row.latenessMs},"url":${text(row.url)},"path":${text(row.path)},"referrer":${text(
    row.referrer
  )},"title":${text(row.title)},"campaignSource":${text(row.campaignSource)},"campaignMedium":${text(
    row.campaignMedium
  )},"campaignName":${text(row.campaignName)},"campaignTerm":${text(row.campaignTerm)},"campaignContent":${text(
    row.campaignContent
  )},"trafficSource":"${row.trafficSource}","userAgent":${text(row.userAgent)},"deviceType":"${row.deviceType}","os":"${
    row.os
  }","browser":"${row.browser}","isBot":${row.isBot},"ip":${text(row.ip)},"country":${text(
    row.country
  )},"locale":${text(row.locale)},"libraryName":${text(row.libraryName)},"libraryVersion":${text(
    row.libraryVersion
  )},"properties":${text(row.properties)},"schemaVersion":${row.schemaVersion},"enrichVersion":${
    row.enrichVersion
  },"topic":"${row.topic}","partition":${row.partition},"offset":${row.offset},"version":"${row.version}"}`
}

function text(value: string): string {
  return value === '' ? '""' : JSON.stringify(value)
}

function time(ms: number): string {
  return `"${timeText(ms)}"`
}
