// Events that carry both ids say that a user was at a device: one line of `identity_links` each. Keyed by the event, so
// a repeat collapses, and of copies of an event the same one counts as in `events_raw`.
import { namesDevice, namesUser } from '@millrace/contracts'
import type { EventRow } from '@millrace/contracts'
import type { WarehouseColumn } from './columns.ts'

/** The columns of `identity_links` in the order of its lines. */
export const identityLinkColumns: readonly WarehouseColumn[] = [
  { name: 'projectId', type: 'LowCardinality(String)' },
  { name: 'anonymousId', type: 'String' },
  { name: 'eventId', type: 'String' },
  { name: 'userId', type: 'String' },
  { name: 'timestamp', type: "DateTime64(3, 'UTC')" },
  { name: 'version', type: 'UInt64' }
]

/** The line of `row`, without a line end; undefined when it is no link: an id is missing, or is a placeholder. */
export function toIdentityLink(row: EventRow): string | undefined {
  const { projectId, anonymousId, eventId, userId, timestamp, version } = row
  if (!namesUser(userId) || !namesDevice(anonymousId)) return undefined
  return JSON.stringify({
    projectId,
    anonymousId,
    eventId,
    userId,
    timestamp: new Date(timestamp).toISOString(),
    version
  })
}
