// When each user and each device was first seen: the earliest event time, over everything that was ever loaded. The
// minimum does not care for order or repeats, so a batch is folded to one line for each id before it is sent.
import { createLines, createPutTime, mostBytesOf, putText, timeBytes } from '@millrace/stores/tab-lines'
import type { Line } from '@millrace/stores/tab-lines'
import type { WarehouseColumn } from './columns.ts'
import type { WarehouseEntry } from './entry.ts'

/** The columns of `first_seen` in the order of its lines. */
export const firstSeenColumns: readonly WarehouseColumn[] = [
  { name: 'projectId', type: 'LowCardinality(String)' },
  { name: 'idKind', type: 'LowCardinality(String)' },
  { name: 'id', type: 'String' },
  { name: 'firstSeenAt', type: "SimpleAggregateFunction(min, DateTime64(3, 'UTC'))" }
]

/** One line for each user id and each anonymous id of `entries`. */
export function toFirstSeen(entries: readonly WarehouseEntry[]): readonly Line[] {
  const toLine = createLines()
  const putTime = createPutTime()
  const lines: Line[] = []
  const add = (projectId: string, kind: 'user' | 'anonymous', ids: ReadonlyMap<string, number>): void => {
    for (const [id, firstMs] of ids) {
      const mostBytes = mostBytesOf(projectId.length + kind.length + id.length) + 3 + timeBytes
      const put = (bytes: Buffer, start: number): number => {
        const at = putText(bytes, putText(bytes, putText(bytes, start, projectId), kind), id)
        return putTime(bytes, at, firstMs)
      }
      lines.push(toLine(mostBytes, put))
    }
  }
  for (const [projectId, { users, devices }] of foldIds(entries)) {
    add(projectId, 'user', users)
    add(projectId, 'anonymous', devices)
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
