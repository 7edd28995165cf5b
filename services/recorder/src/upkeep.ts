// What the recorder does beside records: the days to come are made ahead, and days past the retention are dropped.
import type { Clock } from '@millrace/kernel'
import type { Days } from './days.ts'
import { dayMs } from './to-row.ts'

/** Days made before their first event. */
const daysAhead = 2
/** Clocks of two recorders differ; a day is dropped only when no clock still records into it. */
const slackDays = 1

export interface UpkeepDeps {
  readonly days: Pick<Days, 'ensure' | 'dropBefore'>
  readonly retentionDays: number
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly onDropped: (days: number) => void
  readonly onFailure: (error: unknown) => void
  readonly everyMs?: number
}

/** Runs at once and then every hour until `signal` aborts. Never throws: what failed is tried again the next time. */
export async function keepDays(deps: UpkeepDeps): Promise<void> {
  const { days, retentionDays, clock, signal, onDropped, onFailure, everyMs = 3_600_000 } = deps
  while (!signal.aborted) {
    const today = Math.floor(clock.now() / dayMs)
    try {
      await days.ensure(Array.from({ length: daysAhead + 1 }, (_, ahead) => today + ahead))
      onDropped(await days.dropBefore(today - retentionDays - slackDays))
    } catch (error) {
      onFailure(error)
    }
    await clock.sleep(everyMs, signal).catch(() => {})
  }
}
