// Loads records into the tables of the warehouse as the loader does: the same rows, the same inserts, every table of a
// batch in order. A batch whose outcome is not known is loaded again; one of too many months goes in month by month, and
// one that is refused is halved until the record stands alone.
import type { Enrich, RawRecord } from '@millrace/contracts'
import { isPoison, retry } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { TopicPartition } from '@millrace/kafka'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { createTableCheck } from '@millrace/warehouse/check-tables'
import { createToEntry } from '@millrace/warehouse/entry'
import type { WarehouseEntry } from '@millrace/warehouse/entry'
import { insertLines } from '@millrace/warehouse/insert'
import { insertByMonth } from '@millrace/warehouse/months'
import { warehouseTables } from '@millrace/warehouse/tables'

/** A record whose rows ClickHouse refuses. */
export interface RefusedRecord extends TopicPartition {
  readonly offset: bigint
}

/** What became of the records besides being loaded. */
export interface SinkCounts {
  /** Records that are no events. */
  readonly invalid: number
  readonly refused: readonly RefusedRecord[]
  readonly days: LoadedDays
}

/** Days (UTC, start in ms) of events, by project. */
export type LoadedDays = ReadonlyMap<string, ReadonlySet<number>>

const dayMs = 86_400_000

export interface WarehouseSink {
  /** Throws PIPE_TABLE_DRIFT when a table does not fit, PIPE_CLICKHOUSE_UNAVAILABLE. */
  check(): Promise<void>
  /**
   * Takes the records; resolves when there is room for the next ones. Throws what an earlier batch ended with:
   * PIPE_CLICKHOUSE_UNAVAILABLE when the server was away for minutes.
   */
  add(records: readonly RawRecord[]): Promise<void>
  /** Resolves when everything is loaded. Throws as `add`. */
  end(): Promise<SinkCounts>
}

export interface SinkDeps {
  readonly clickhouse: Pick<Clickhouse, 'insertLines' | 'rows' | 'database'>
  /** With the country database that the loaders have: they write the same rows. */
  readonly enrich: Enrich
  readonly clock: Clock
}

interface Item {
  readonly record: RawRecord
  readonly entry: WarehouseEntry
}

/** One batch is made while another one is on its way. */
const batchesUnderWay = 2
/** Some four minutes of an absent server. */
const patience = { policy: { baseMs: 200, capMs: 5_000, jitter: 0.3 }, attempts: 50 }

/** Creates the sink. */
export function createWarehouseSink({ clickhouse, enrich, clock }: SinkDeps): WarehouseSink {
  const toEntry = createToEntry(enrich)
  const underWay = new Set<Promise<void>>()
  const refused: RefusedRecord[] = []
  const days = new Map<string, Set<number>>()
  let invalid = 0
  let failure: { readonly error: unknown } | undefined

  return {
    check: createTableCheck(clickhouse),
    async add(records) {
      const items: Item[] = []
      for (const record of records) {
        const decoded = toEntry(record)
        if (decoded.kind === 'item') {
          items.push({ record, entry: decoded.item })
          note(decoded.item)
        } else invalid++
      }
      while (underWay.size >= batchesUnderWay) await Promise.race(underWay)
      if (failure !== undefined) throw failure.error
      const load: Promise<void> = insert(items)
        .catch((error: unknown) => {
          failure ??= { error }
        })
        .finally(() => underWay.delete(load))
      underWay.add(load)
    },
    async end() {
      await Promise.all(underWay)
      if (failure !== undefined) throw failure.error
      return { invalid, refused, days }
    }
  }

  function note({ projectId, timestampMs }: WarehouseEntry): void {
    const known = days.get(projectId) ?? new Set()
    days.set(projectId, known.add(timestampMs - (timestampMs % dayMs)))
  }

  async function insert(items: readonly Item[]): Promise<void> {
    if (items.length === 0) return
    try {
      const entries = items.map(({ entry }) => entry)
      await retry(() => insertAll(entries), { ...patience, clock })
    } catch (error) {
      if (!isPoison(error)) throw error
      const [{ record }] = items as [Item] // not empty
      if (items.length === 1) {
        refused.push({ topic: record.topic, partition: record.partition, offset: record.offset })
        return
      }
      const middle = items.length >> 1
      await insert(items.slice(0, middle))
      await insert(items.slice(middle))
    }
  }

  async function insertAll(entries: readonly WarehouseEntry[]): Promise<void> {
    for (const table of warehouseTables)
      await insertByMonth(entries, async (some) => {
        await insertLines(clickhouse, table, table.linesOf(some))
      })
  }
}
