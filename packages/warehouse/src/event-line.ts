// The line of an event in `events_raw`: the columns of contracts in their order.
import type { EventRow } from '@millrace/contracts'
import {
  createLines,
  createPutTime,
  mostBytesOf,
  putNull,
  putPlain,
  putText,
  timeBytes
} from '@millrace/stores/tab-lines'
import type { Line } from '@millrace/stores/tab-lines'

/** Four times, eight numbers of at most 20 digits and a truth, with their tabs. */
const fixedBytes = 4 * timeBytes + 8 * 21 + 6

/** Makes the line of each row. */
export function createEventLines(): (row: EventRow) => Line {
  const toLine = createLines()
  const putTime = createPutTime()
  return (row) =>
    toLine(mostBytes(row), (bytes, start) => {
      let at = putText(bytes, start, row.projectId)
      at = putText(bytes, at, row.eventId)
      at = putText(bytes, at, row.eventType)
      at = putText(bytes, at, row.userId)
      at = putText(bytes, at, row.anonymousId)
      at = putText(bytes, at, row.sessionId)
      at = putTime(bytes, at, row.timestamp)
      at = row.sentAt === null ? putNull(bytes, at) : putTime(bytes, at, row.sentAt)
      at = putTime(bytes, at, row.receivedAt)
      at = putTime(bytes, at, row.appendedAt)
      at = putPlain(bytes, at, row.latenessMs)
      at = putText(bytes, at, row.url)
      at = putText(bytes, at, row.path)
      at = putText(bytes, at, row.referrer)
      at = putText(bytes, at, row.title)
      at = putText(bytes, at, row.campaignSource)
      at = putText(bytes, at, row.campaignMedium)
      at = putText(bytes, at, row.campaignName)
      at = putText(bytes, at, row.campaignTerm)
      at = putText(bytes, at, row.campaignContent)
      at = putText(bytes, at, row.trafficSource)
      at = putText(bytes, at, row.userAgent)
      at = putText(bytes, at, row.deviceType)
      at = putText(bytes, at, row.os)
      at = putText(bytes, at, row.browser)
      at = putPlain(bytes, at, row.isBot)
      at = putText(bytes, at, row.ip)
      at = putText(bytes, at, row.country)
      at = putText(bytes, at, row.locale)
      at = putText(bytes, at, row.libraryName)
      at = putText(bytes, at, row.libraryVersion)
      at = putText(bytes, at, row.properties)
      at = putPlain(bytes, at, row.schemaVersion)
      at = putPlain(bytes, at, row.enrichVersion)
      at = putText(bytes, at, row.topic)
      at = putPlain(bytes, at, row.partition)
      at = putPlain(bytes, at, row.offset)
      return putText(bytes, at, row.version)
    })
}

/** Not less than the bytes of the line of `row`. */
function mostBytes(row: EventRow): number {
  const texts =
    row.projectId.length +
    row.eventId.length +
    row.eventType.length +
    row.userId.length +
    row.anonymousId.length +
    row.sessionId.length +
    row.url.length +
    row.path.length +
    row.referrer.length +
    row.title.length +
    row.campaignSource.length +
    row.campaignMedium.length +
    row.campaignName.length +
    row.campaignTerm.length +
    row.campaignContent.length +
    row.trafficSource.length +
    row.userAgent.length +
    row.deviceType.length +
    row.os.length +
    row.browser.length +
    row.ip.length +
    row.country.length +
    row.locale.length +
    row.libraryName.length +
    row.libraryVersion.length +
    row.properties.length +
    row.topic.length
  return fixedBytes + mostBytesOf(texts) + 27
}
