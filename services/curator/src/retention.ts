// How long the warehouse keeps the events of each project: a setting of the project, applied as the TTL of the table. The
// server removes what is past it when it merges, so rows stay visible for a while. What is derived of users stays.
import type { Logger } from '@millrace/observability'
import type { Retention } from '@millrace/operations/warehouse-retention'
import type { Clickhouse } from '@millrace/stores/clickhouse'

/** A TTL counts seconds in 32 bits: later than 2106 it begins anew, and the rule would expire everything. */
const maxDays = 10_000

/** The TTL of `events_raw` for `retention`, one rule for each number of days; undefined: none. Longer than 10,000 is for good. */
export function ttlOf(retention: Retention): string | undefined {
  const byDays = Map.groupBy(retention, ([, days]) => days)
  const rules = [...byDays]
    .filter(([days]) => days <= maxDays)
    .toSorted(([left], [right]) => left - right)
    .map(([days, projects]) => {
      // Ids of projects are lower-case letters, digits and dashes.
      const names = projects.map(([project]) => `'${project}'`).toSorted()
      return `toDateTime(timestamp) + toIntervalDay(${days}) DELETE WHERE projectId IN (${names.join(', ')})`
    })
  return rules.length === 0 ? undefined : rules.join(', ')
}

/** The retention that a TTL made by `ttlOf` stands for. */
export function retentionOf(ttl: string): Retention {
  const rules = ttl.matchAll(/toIntervalDay\((\d+)\) DELETE WHERE projectId IN \(([^)]*)\)/g)
  return new Map(
    [...rules].flatMap(([, days = '', names = '']) =>
      [...names.matchAll(/'([^']+)'/g)].map(([, project = '']) => [project, Number(days)] as const)
    )
  )
}

/** What the curator made of the table the last time. Throws PIPE_CLICKHOUSE_UNAVAILABLE, PIPE_CLICKHOUSE_QUERY. */
export async function appliedRetention(clickhouse: Pick<Clickhouse, 'rows'>): Promise<Retention> {
  const [held] = await clickhouse.rows<{ ttl: string }>(
    'SELECT argMax(value, version) AS ttl FROM warehouse_settings WHERE name = {name:String}',
    { name }
  )
  return retentionOf(held?.ttl ?? '')
}

const name = 'retention'
/** Noted while the TTL of the table may be the old one or the new one. */
const changing = 'changing'

/**
 * Makes `retention` the TTL of the table, unless it is already. What was applied is kept in `warehouse_settings`, since a
 * server writes a TTL in its own words. Throws PIPE_CLICKHOUSE_UNAVAILABLE, PIPE_CLICKHOUSE_QUERY.
 */
export async function applyRetention(
  clickhouse: Pick<Clickhouse, 'rows' | 'command' | 'insertLines'>,
  retention: Retention,
  log: Pick<Logger, 'info'>
): Promise<void> {
  const wanted = ttlOf(retention) ?? ''
  const [held] = await clickhouse.rows<{ ttl: string; has: number }>(
    `SELECT (SELECT argMax(value, version) FROM warehouse_settings WHERE name = {name:String}) AS ttl,
       position(engine_full, ' TTL ') > 0 AS has
     FROM system.tables WHERE database = currentDatabase() AND name = 'events_raw'`,
    { name }
  )
  const isThere = held !== undefined && held.ttl === wanted && (held.has === 1) === (wanted !== '')
  if (isThere) return
  // Without a note the TTL of a change that was cut off here would stay when the setting goes back to what is noted.
  await writeSetting(clickhouse, name, changing)
  if (wanted !== '') await clickhouse.command(`ALTER TABLE events_raw MODIFY TTL ${wanted}`)
  else if (held?.has === 1) await clickhouse.command('ALTER TABLE events_raw REMOVE TTL')
  await writeSetting(clickhouse, name, wanted)
  if (wanted !== '' || (held?.ttl ?? '') !== '')
    log.info({ projects: retention.size }, 'retention of the warehouse changed')
}

/** Event types that count as a conversion, for the view of sessions. Throws PIPE_CLICKHOUSE_UNAVAILABLE. */
export async function applyConversionTypes(
  clickhouse: Pick<Clickhouse, 'rows' | 'insertLines'>,
  conversionTypes: readonly string[]
): Promise<void> {
  const wanted = JSON.stringify(conversionTypes)
  const [held] = await clickhouse.rows<{ value: string }>(
    `SELECT argMax(value, version) AS value FROM warehouse_settings WHERE name = 'conversionTypes'`
  )
  if (held?.value !== wanted) await writeSetting(clickhouse, 'conversionTypes', wanted)
}

async function writeSetting(
  clickhouse: Pick<Clickhouse, 'rows' | 'insertLines'>,
  setting: string,
  value: string
): Promise<void> {
  const [held] = await clickhouse.rows<{ version: string }>(
    'SELECT max(version) AS version FROM warehouse_settings WHERE name = {setting:String}',
    { setting }
  )
  const version = String(BigInt(held?.version ?? 0) + 1n)
  const line = Buffer.from(`${JSON.stringify({ name: setting, value, version })}\n`)
  await clickhouse.insertLines('warehouse_settings', ['name', 'value', 'version'], line)
}
