// One batch -> one transaction. Nearly every batch is new as a whole, and is copied straight into `raw_events`; when a row
// is there already, the batch goes to a table of its own and from there whatever is not there yet, at twice the cost.
// Seeing a batch again changes nothing, since the key of a row is its event; of several copies the first of the log stays.
import { AppError, done, skip } from '@millrace/kernel'
import type { Clock, Outcome } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { Postgres } from '@millrace/stores/postgres'
import { joinLines } from '@millrace/stores/tab-lines'
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

/** After a batch that held copies, this many are not tried straight: where there are some, there are more. */
const mergedAfterCopies = 20

/**
 * The handler of a batch of rows. Resolves after the commit with `done` for each row and `expired` for those older than
 * the retention. Throws PIPE_POSTGRES_UNAVAILABLE when the outcome is not known or the server cannot, and
 * PIPE_POSTGRES_REFUSED when it blames a row.
 */
export function createRecord({ postgres, days, retentionDays, metrics, clock, faults }: RecordDeps) {
  let toMerge = 0

  return async function record(
    { items }: { readonly items: readonly RecordedRow[] },
    { attempt }: { readonly attempt: number }
  ): Promise<readonly Outcome[]> {
    const oldest = Math.floor(clock.now() / dayMs) - retentionDays
    const rows = items.filter(({ day }) => day >= oldest)
    if (rows.length > 0) {
      await days.ensure(new Set(rows.map(({ day }) => day)))
      await faults.at('recorder.before-insert')
      const startedAtMs = clock.monotonic()
      const inserted = await write(rows, attempt)
      await faults.at('recorder.after-insert')
      metrics.insertSeconds.observe((clock.monotonic() - startedAtMs) / 1_000)
      metrics.rows.add(inserted, { outcome: 'inserted' })
      metrics.rows.add(rows.length - inserted, { outcome: 'present' })
    }
    return items.map(({ day }) => (day >= oldest ? done : skip('expired')))
  }

  /** Resolves with how many rows were not there before. */
  async function write(rows: readonly RecordedRow[], attempt: number): Promise<number> {
    const body = Buffer.concat(joinLines(rows.map(({ line }) => line)))
    // What was tried before may be there.
    const isNew = attempt === 1 && toMerge === 0
    try {
      if (isNew && (await copyStraight(body))) return rows.length
      return await merge(body)
    } catch (error) {
      throw isMissingDay(error) ? lostDay(error) : error
    }
  }

  /** Copies the rows; false, and nothing is written, when one of them is there already. */
  async function copyStraight(body: Buffer): Promise<boolean> {
    try {
      await postgres.transaction((tx) => tx.copy(`COPY raw_events (${columns}) FROM STDIN`, body))
      return true
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'PIPE_CONFLICT') throw error
      toMerge = mergedAfterCopies
      return false
    }
  }

  async function merge(body: Buffer): Promise<number> {
    toMerge = Math.max(0, toMerge - 1)
    return await postgres.transaction(async (tx) => {
      await tx.query('CREATE TEMPORARY TABLE incoming (LIKE raw_events INCLUDING DEFAULTS) ON COMMIT DROP')
      await tx.copy(`COPY incoming (${columns}) FROM STDIN`, body)
      const [result] = await tx.query<{ count: number }>(insert)
      return result?.count ?? 0
    })
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
