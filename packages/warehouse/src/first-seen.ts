// When each user and each device was first seen: the earliest event time, over everything that was ever loaded. The
// minimum does not care for order or repeats, so a batch is folded to one line for each id before it is sent.
import type { WarehouseColumn } from './columns.ts'
import type { WarehouseEntry } from './entry.ts'

/** The columns of `first_seen` in the order of its lines. */
export const firstSeenColumns: readonly WarehouseColumn[] = [
  { name: 'projectId', type: 'LowCardinality(String)' },
  { name: 'idKind', type: 'LowCardinality(String)' },
  { name: 'id', type: 'String' },
  { name: 'firstSeenAt', type: "SimpleAggregateFunction(min, DateTime64(3, 'UTC'))" }
]

/** One line, without a line end, for each user id and each anonymous id of `entries`. */
export function toFirstSeen(entries: readonly WarehouseEntry[]): readonly string[] {
  const lines: string[] = []
  for (const [projectId, { users, devices }] of foldIds(entries)) {
    for (const [id, firstMs] of users) lines.push(line(projectId, 'user', id, firstMs))
    for (const [id, firstMs] of devices) lines.push(line(projectId, 'anonymous', id, firstMs))
  }
  return lines
}

interface Ids {
  readonly users: Map<string, number>
  readonly devices: Map<string, number>
}

function foldIds(entries: readonly WarehouseEntry[]): ReadonlyMap<string, Ids> {
  const projects = new Map<string, Ids>()
  let projectId: string | undefined
  let ids: Ids = { users: new Map(), devices: new Map() }
  for (const entry of entries) {
    // Most of a batch comes from one project after the other.
    if (entry.projectId !== projectId) {
      projectId = entry.projectId
      ids = projects.get(projectId) ?? { users: new Map(), devices: new Map() }
      projects.set(projectId, ids)
    }
    if (entry.userId !== '') keepEarlier(ids.users, entry.userId, entry.timestampMs)
    if (entry.anonymousId !== '') keepEarlier(ids.devices, entry.anonymousId, entry.timestampMs)
  }
  return projects
}

function keepEarlier(ids: Map<string, number>, id: string, timestampMs: number): void {
  const held = ids.get(id)
  if (held === undefined || timestampMs < held) ids.set(id, timestampMs)
}

/** The project is a name of its topic and needs no escaping; times are from 1970 to 2100. */
function line(projectId: string, kind: 'user' | 'anonymous', id: string, firstMs: number): string {
  const firstSeenAt = new Date(firstMs).toISOString()
  return `{"projectId":"${projectId}","idKind":"${kind}","id":${JSON.stringify(id)},"firstSeenAt":"${firstSeenAt}"}`
}
