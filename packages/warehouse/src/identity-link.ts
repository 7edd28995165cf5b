// Events that carry both ids say that a user was at a device: one line of `identity_links` each. Keyed by the event, so
// a repeat collapses, and of copies of an event the same one counts as in `events_raw`.
import { namesDevice, namesUser } from '@millrace/contracts'
import type { EventRow } from '@millrace/contracts'
import type { WarehouseColumn } from './columns.ts'
import { createLines, createPutTime, mostBytesOf, putText, timeBytes } from '@millrace/stores/tab-lines'
import type { Line } from '@millrace/stores/tab-lines'

/** The columns of `identity_links` in the order of its lines. */
export const identityLinkColumns: readonly WarehouseColumn[] = [
  { name: 'projectId', type: 'LowCardinality(String)' },
  { name: 'anonymousId', type: 'String' },
  { name: 'eventId', type: 'String' },
  { name: 'userId', type: 'String' },
  { name: 'timestamp', type: "DateTime64(3, 'UTC')" },
  { name: 'version', type: 'UInt64' }
]

/** Makes the line of each row; undefined when it is no link: an id is missing, or is a placeholder. */
export function createIdentityLinks(): (row: EventRow) => Line | undefined {
  const toLine = createLines()
  const putTime = createPutTime()
  return (row) => {
    const { projectId, anonymousId, eventId, userId, timestamp, version } = row
    if (!namesUser(userId) || !namesDevice(anonymousId)) return undefined
    const texts = projectId.length + anonymousId.length + eventId.length + userId.length + version.length
    return toLine(mostBytesOf(texts) + 5 + timeBytes, (bytes, start) => {
      let at = putText(bytes, start, projectId)
      at = putText(bytes, at, anonymousId)
      at = putText(bytes, at, eventId)
      at = putText(bytes, at, userId)
      at = putTime(bytes, at, timestamp)
      return putText(bytes, at, version)
    })
  }
}
