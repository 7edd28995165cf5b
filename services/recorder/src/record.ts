// One batch -> one transaction: COPY into a table of its own, then into `raw_events` whatever is not there yet. Seeing a
// batch again changes nothing, since the key of a row is its event; of several copies the first of the log stays.
import { AppError, done, skip } from '@millrace/kernel'
import type { Clock, Outcome } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { Postgres } from '@millrace/stores/postgres'
import type { Days } from './days.ts'
import type { recorderMetrics } from './metrics.ts'
import { columns, dayMs } from './to-row.ts'
import type { RecordedRow } from './to-row.ts'

export interface RecordDeps {
  readonly postgres: Pick<Postgres, 'transaction'>
  readonly days: Pick<Days, 'ensure' | 'forget'>
  readonly retentionDays: number
  readonly metrics: BoundMetrics<typeof recorderMetrics>
  readonly clock: Clock
  readonly faults: { at(label: string): void | Promise<void> }
}

/** Sorted, so that two recorders with the same events wait for each other instead of locking each other out. */
const insert = `WITH added AS (
  INSERT INTO raw_events (${columns}) SELECT ${columns} FROM incoming
  ORDER BY day, project_id, event_id, "partition", "offset" ON CONFLICT DO NOTHING RETURNING 1
) SELECT count(*)::integer AS count FROM added`

/**
 * The handler of a batch of rows. Resolves after the commit with `done` for each row and `expired` for those older than
 * the retention. Throws PIPE_POSTGRES_UNAVAILABLE when the outcome is not known or the server cannot, and
 * PIPE_POSTGRES_REFUSED when it blames a row.
 */
export function createRecord({ postgres, days, retentionDays, metrics, clock, faults }: RecordDeps) {
  return async function record({ items }: { readonly items: readonly RecordedRow[] }): Promise<readonly Outcome[]> {
    const oldest = Math.floor(clock.now() / dayMs) - retentionDays
    const rows = items.filter(({ day }) => day >= oldest)
    if (rows.length > 0) {
      await days.ensure(new Set(rows.map(({ day }) => day)))
      await faults.at('recorder.before-insert')
      const startedAtMs = clock.monotonic()
      const inserted = await write(rows)
      await faults.at('recorder.after-insert')
      metrics.insertSeconds.observe((clock.monotonic() - startedAtMs) / 1_000)
      metrics.rows.add(inserted, { outcome: 'inserted' })
      metrics.rows.add(rows.length - inserted, { outcome: 'present' })
    }
    return items.map(({ day }) => (day >= oldest ? done : skip('expired')))
  }

  async function write(rows: readonly RecordedRow[]): Promise<number> {
    const body = Buffer.from(`${rows.map(({ line }) => line).join('\n')}\n`)
    try {
      return await postgres.transaction(async (tx) => {
        await tx.query('CREATE TEMPORARY TABLE incoming (LIKE raw_events INCLUDING DEFAULTS) ON COMMIT DROP')
        await tx.copy(`COPY incoming (${columns}) FROM STDIN`, body)
        const [result] = await tx.query<{ count: number }>(insert)
        return result?.count ?? 0
      })
    } catch (error) {
      throw isMissingDay(error) ? lostDay(error) : error
    }
  }

  /** The table has no checks, so this state says that a day went away after it was made: no row is to blame. */
  function lostDay(cause: unknown): AppError {
    days.forget()
    return new AppError('PIPE_POSTGRES_UNAVAILABLE', 'a day of raw_events is missing; it is made again', { cause })
  }
}

function isMissingDay(error: unknown): boolean {
  return error instanceof AppError && error.details['sqlstate'] === '23514'
}
