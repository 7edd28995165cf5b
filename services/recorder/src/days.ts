// The days of `raw_events`: one partition each, made before the first row of the day and dropped as a whole when the
// retention is over. A table that is not partitioned (a hypertable) cares for itself.
import { AppError } from '@millrace/kernel'
import type { Postgres, Queryable, Transaction } from '@millrace/stores/postgres'
import { dayText } from './to-row.ts'

export interface Days {
  /** Makes the partitions of `days` that are missing; no round trip for days made before. Throws as PostgreSQL fails. */
  ensure(days: Iterable<number>): Promise<void>
  /** Drops every day before `day`; resolves with how many. A day that is being read is left for the next call. */
  dropBefore(day: number): Promise<number>
  /** Forgets what is there: the next `ensure` looks again. */
  forget(): void
}

/** Two processes never make or drop partitions at once. */
const lock = `SELECT pg_advisory_xact_lock(hashtextextended('raw_events partitions', 0))`

/** The partitions of `raw_events` in `postgres`. */
export function createDays(postgres: Postgres): Days {
  const known = new Set<number>()
  return {
    async ensure(days) {
      const missing = [...days].filter((day) => !known.has(day))
      if (missing.length === 0) return
      await postgres.transaction(async (tx) => {
        await tx.query(lock)
        if (!(await isPartitioned(tx))) return
        const present = await partitionDays(tx)
        for (const day of missing) if (!present.has(day)) await createDay(tx, day)
      })
      for (const day of missing) known.add(day)
    },
    async dropBefore(limit) {
      let dropped = 0
      for (const day of await partitionDays(postgres)) {
        if (day < limit && (await dropDay(postgres, day))) dropped++
        if (day < limit) known.delete(day)
      }
      return dropped
    },
    forget: () => known.clear()
  }
}

async function isPartitioned(tx: Queryable): Promise<boolean> {
  const rows = await tx.query<{ kind: string }>(
    `SELECT relkind AS kind FROM pg_class WHERE oid = 'raw_events'::regclass`
  )
  return rows[0]?.kind === 'p'
}

async function partitionDays(postgres: Queryable): Promise<Set<number>> {
  const rows = await postgres.query<{ day: number }>(
    `SELECT to_date(right(relname, 8), 'YYYYMMDD') - DATE '1970-01-01' AS day
     FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
     WHERE inhparent = 'raw_events'::regclass AND relname ~ '^raw_events_[0-9]{8}$' ORDER BY 1`
  )
  return new Set(rows.map(({ day }) => day))
}

/** Attaching leaves readers and writers of the other days alone, which creating a partition in place does not. */
async function createDay(tx: Transaction, day: number): Promise<void> {
  const name = partitionName(day)
  await tx.query(`CREATE TABLE ${name} (LIKE raw_events INCLUDING DEFAULTS)`)
  await tx.query(
    `ALTER TABLE raw_events ATTACH PARTITION ${name} FOR VALUES FROM ('${dayText(day)}') TO ('${dayText(day + 1)}')`
  )
}

async function dropDay(postgres: Postgres, day: number): Promise<boolean> {
  try {
    return await postgres.transaction(async (tx) => {
      await tx.query(lock)
      // Waiting longer for a reader would hold up every other statement on the table behind this one.
      await tx.query(`SET LOCAL lock_timeout = '1s'`)
      await tx.query(`DROP TABLE IF EXISTS ${partitionName(day)}`)
      return true
    })
  } catch (error) {
    if (error instanceof AppError && error.details['sqlstate'] === '55P03') return false
    throw error
  }
}

/** The name is made of digits alone. */
function partitionName(day: number): string {
  return `raw_events_${dayText(day).replaceAll('-', '')}`
}
