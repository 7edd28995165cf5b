// Finding refused items in a batch that was refused as a whole: halve it until the item stands alone. The cost is
// bounded; what is decided by then is a prefix of the batch, and the rest is tried again later.
import { dead } from '@millrace/kernel'
import type { DeadReason, Outcome } from '@millrace/kernel'

/** The verdict on an item that stands alone. */
export interface Verdict {
  readonly reason: DeadReason
  /** Another try can end otherwise. */
  readonly again: boolean
}

export interface BisectOptions {
  /** Items of the batch. */
  readonly count: number
  /** Handles the items `[low, high)`; throws when they are refused. */
  readonly run: (low: number, high: number) => Promise<readonly Outcome[]>
  /** Why an item that stands alone with this error is dead; undefined for an error that is no refusal. */
  readonly verdict: (error: unknown) => Verdict | undefined
  readonly maxCalls: number
  /** Stop in front of the first dead item instead of going on behind it. */
  readonly stopAtDead: boolean
}

/** Outcomes of the items `[0, outcomes.length)`, and what ended the search before the last item. */
export interface Bisected {
  readonly outcomes: readonly Outcome[]
  /** Indexes of the outcomes that another try can turn. */
  readonly again: readonly number[]
  readonly error?: unknown
  /** With `stopAtDead`: the verdict on the item behind the outcomes. */
  readonly found?: Outcome
  /** Whether any item was taken by the sink. */
  readonly anyDone: boolean
}

/** Decides as long a prefix of a refused batch as `maxCalls` allow. Never throws for what `run` threw. */
export async function bisect(options: BisectOptions): Promise<Bisected> {
  const { count, run, verdict, maxCalls, stopAtDead } = options
  const outcomes: Outcome[] = []
  const again: number[] = []
  const pieces = halves(0, count)
  let anyDone = false
  let calls = 0
  for (let piece = pieces.pop(); piece !== undefined; piece = pieces.pop()) {
    if (calls >= maxCalls) break
    calls++
    const { low, high } = piece
    try {
      outcomes.push(...(await run(low, high)))
      anyDone = true
    } catch (error) {
      const found = verdict(error)
      if (found === undefined) return { outcomes, again, error, anyDone }
      if (high - low > 1) pieces.push(...halves(low, high))
      else if (stopAtDead) return { outcomes, again, found: dead(found.reason, error), anyDone }
      else {
        if (found.again) again.push(outcomes.length)
        outcomes.push(dead(found.reason, error))
      }
    }
  }
  return { outcomes, again, anyDone }
}

/** The pieces to try next, the last one first. A single item is one piece. */
function halves(low: number, high: number): { low: number; high: number }[] {
  if (high - low <= 1) return [{ low, high }]
  const middle = low + Math.ceil((high - low) / 2)
  return [
    { low: middle, high },
    { low, high: middle }
  ]
}
