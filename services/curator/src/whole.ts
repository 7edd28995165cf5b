// Whether a count of the warehouse may be believed at all: tables that were lost and made anew are empty or half filled
// while the positions of the loaders say that everything is there. Nothing is counted from them until a rebuild has ended.
import { rawTopicsOf } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { noteWarehouseWhole, warehouseWholeness } from '@millrace/operations/warehouse-whole'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Queryable } from '@millrace/stores/postgres'
import type { curatorMetrics } from './metrics.ts'

/** Resolves whether the tables of the warehouse are those that hold everything the loaders ever took. */
export type IsWhole = () => Promise<boolean>

export interface WholeDeps {
  readonly postgres: Queryable
  readonly clickhouse: Pick<Clickhouse, 'rows'>
  readonly admin: Pick<Admin, 'listTopics' | 'groupOffsets'>
  /** Consumer group of the loaders. */
  readonly group: string
  readonly metrics: BoundMetrics<typeof curatorMetrics>
  readonly log: Pick<Logger, 'info' | 'warn'>
}

/**
 * Where nothing was ever noted, the tables that are there are taken to be whole, unless they are empty and the loaders
 * have committed something. Says so once when tables are not. Throws PIPE_CLICKHOUSE_UNAVAILABLE,
 * PIPE_POSTGRES_UNAVAILABLE, PIPE_KAFKA_UNAVAILABLE.
 */
export function createIsWhole(deps: WholeDeps): IsWhole {
  const { metrics, log } = deps
  let last: boolean | undefined
  return async function isWhole() {
    const is = await ask(deps)
    metrics.whole.set(is ? 1 : 0)
    if (!is && last !== false)
      log.warn({}, 'the warehouse was made anew and is not known to be whole: days are counted after archive rebuild')
    if (is && last === false) log.info({}, 'the warehouse is whole again')
    last = is
    return is
  }
}

async function ask(deps: WholeDeps): Promise<boolean> {
  const found = await warehouseWholeness(deps)
  if (found !== 'first') return found === 'whole'
  return (await isFilledFromStart(deps)) && (await noteWarehouseWhole(deps))
}

async function isFilledFromStart({ clickhouse, admin, group }: WholeDeps): Promise<boolean> {
  const [row] = await clickhouse.rows<{ rows: string }>('SELECT count() AS rows FROM events_raw')
  if (Number(row?.rows ?? 0) > 0) return true
  for (const topic of (await admin.listTopics()).filter(rawTopicsOf([])))
    for (const committed of (await admin.groupOffsets(group, topic)).values()) if (committed > 0n) return false
  return true
}
