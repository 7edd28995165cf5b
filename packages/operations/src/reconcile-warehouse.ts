// What the warehouse shows of a part of the log, as keys: type, day and digest of the id, which together are the identity
// of an event there.
import { createHash } from 'node:crypto'
import { AppError } from '@millrace/kernel'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { ReplayPart } from './replay-rows.ts'

/** The identity of an event in the warehouse; no text of it has a tab or a line end. */
export function eventKey(eventType: string, timestampMs: number, eventId: string): string {
  return `${eventType}\t${dayOf(timestampMs)}\t${digestOf(eventId)}`
}

function dayOf(timestampMs: number): string {
  return new Date(timestampMs).toISOString().slice(0, 10)
}

/** As ClickHouse writes `hex(MD5(id))`. */
function digestOf(eventId: string): string {
  return createHash('md5').update(eventId).digest('hex').toUpperCase()
}

export interface ShownPart {
  readonly key: string
  readonly partition: number
  readonly offset: string
}

export interface ShownWanted {
  readonly projectId: string
  readonly topic: string
  readonly parts: readonly ReplayPart[]
  /** `events`: what people see. `events_raw`: the table behind it, where several rows of one event may still be. */
  readonly table: 'events' | 'events_raw'
}

const maxParams = 1_000

/**
 * Calls `onRow` with every row whose record lies in `parts`, in no order. Throws PIPE_CLICKHOUSE_UNAVAILABLE,
 * PIPE_CLICKHOUSE_QUERY.
 */
export async function readShown(
  clickhouse: Pick<Clickhouse, 'queryStream'>,
  { projectId, topic, parts, table }: ShownWanted,
  onRow: (row: ShownPart) => void
): Promise<void> {
  const ranges = parts.filter(({ from, to }) => to > from)
  for (let at = 0; at < ranges.length; at += maxParams) {
    const some = ranges.slice(at, at + maxParams)
    const inRange = some.map(
      (_, index) => `(partition = {p${index}:UInt32} AND offset >= {f${index}:UInt64} AND offset < {t${index}:UInt64})`
    )
    const params: Record<string, unknown> = { projectId, topic }
    for (const [index, { partition, from, to }] of some.entries()) {
      params[`p${index}`] = partition
      params[`f${index}`] = String(from)
      params[`t${index}`] = String(to)
    }
    const stream = await clickhouse.queryStream({
      sql: `SELECT eventType, toString(toDate(timestamp)), hex(MD5(eventId)), partition, offset FROM ${table}
        WHERE projectId = {projectId:String} AND topic = {topic:String} AND (${inRange.join(' OR ')})`,
      params,
      format: 'TabSeparated',
      settings: { max_execution_time: 0 }
    })
    let rest = ''
    for await (const chunk of stream) {
      const lines = `${rest}${String(chunk)}`.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) onRow(toShown(line))
    }
    if (rest !== '') throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', `an answer broke off: ${rest.slice(0, 200)}`)
  }
}

function toShown(line: string): ShownPart {
  const [eventType = '', day = '', digest = '', partition = '', offset, more] = line.split('\t')
  if (offset === undefined || more !== undefined)
    throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', `an answer broke off: ${line.slice(0, 200)}`)
  return { key: `${eventType}\t${day}\t${digest}`, partition: Number(partition), offset }
}

export interface Wanted {
  readonly key: string
  readonly eventType: string
  readonly timestampMs: number
  readonly eventId: string
}

/** Which of `wanted` are there at all, wherever in the log: the first copy of an event may lie before the part. */
export async function findKeys(
  clickhouse: Pick<Clickhouse, 'rows'>,
  projectId: string,
  wanted: readonly Wanted[]
): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for (let at = 0; at < wanted.length; at += maxParams) {
    const some = wanted.slice(at, at + maxParams)
    const rows = await clickhouse.rows<{ eventType: string; day: string; digest: string }>(
      `SELECT DISTINCT eventType, toString(toDate(timestamp)) AS day, hex(MD5(eventId)) AS digest FROM events_raw
       WHERE projectId = {projectId:String} AND eventType IN {types:Array(String)}
         AND toDate(timestamp) IN {days:Array(Date)} AND eventId IN {ids:Array(String)}`,
      {
        projectId,
        types: [...new Set(some.map(({ eventType }) => eventType))],
        days: [...new Set(some.map(({ timestampMs }) => dayOf(timestampMs)))],
        ids: some.map(({ eventId }) => eventId)
      }
    )
    for (const { eventType, day, digest } of rows) found.add(`${eventType}\t${day}\t${digest}`)
  }
  return found
}
