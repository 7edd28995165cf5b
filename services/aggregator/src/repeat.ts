// Work that is done again and again beside the records.
import type { Clock } from '@millrace/kernel'

export interface RepeatOptions {
  readonly everyMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly task: () => Promise<void>
}

/** Runs `task`, waits `everyMs`, and so on until `signal` aborts. Rejects with what `task` throws before that. */
export async function repeat({ everyMs, clock, signal, task }: RepeatOptions): Promise<void> {
  while (!signal.aborted) {
    try {
      await task()
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    await clock.sleep(everyMs, signal).catch(() => undefined)
  }
}
