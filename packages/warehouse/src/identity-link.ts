// Events that carry both ids say that a user was at a device: one line of `identity_links` each. Keyed by the event and
// by what it says, so a repeat collapses, and what differing copies of an event say all stands.
import { namesDevice, namesUser } from '@millrace/contracts'
import type { EventRow } from '@millrace/contracts'
import { createLines, createPutTime, mostBytesOf, putText, timeBytes } from '@millrace/stores/tab-lines'
import type { Line } from '@millrace/stores/tab-lines'
import type { WarehouseColumn } from './columns.ts'

/** The columns of `identity_links` in the order of its lines. */
export const identityLinkColumns: readonly WarehouseColumn[] = [
  { name: 'projectId', type: 'LowCardinality(String)' },
  { name: 'anonymousId', type: 'String' },
  { name: 'eventId', type: 'String' },
  { name: 'userId', type: 'String' },
  { name: 'timestamp', type: "DateTime64(3, 'UTC')" },
  { name: 'version', type: 'UInt64' },
  { name: 'fact', type: 'String' }
]

/** Makes the line of each row; undefined when it is no link: an id is missing, or is a placeholder. */
export function createIdentityLinks(): (row: EventRow) => Line | undefined {
  const toLine = createLines()
  const putTime = createPutTime()
  return (row) => {
    const { projectId, anonymousId, eventId, userId, timestamp, version } = row
    if (!namesUser(userId) || !namesDevice(anonymousId)) return undefined
    const fact = `${timestamp} ${userId}`
    const texts = projectId.length + anonymousId.length + eventId.length + userId.length + version.length + fact.length
    return toLine(mostBytesOf(texts) + 6 + timeBytes, (bytes, start) => {
      let at = putText(bytes, start, projectId)
      at = putText(bytes, at, anonymousId)
      at = putText(bytes, at, eventId)
      at = putText(bytes, at, userId)
      at = putTime(bytes, at, timestamp)
      at = putText(bytes, at, version)
      return putText(bytes, at, fact)
    })
  }
}
