// What is done about a failure, decided from the error alone.
//
// | what failed                                   | example                        | what is done                          |
// | a dependency (transient)                      | timeout, overload, no leader   | the same batch again, for ever        |
// | the deadline or an abort                      | PIPE_DEADLINE                  | the same batch again, for ever        |
// | a record, by the state of a store             | constraint, wrong column       | alone, 3 more times, then a letter    |
// | a record, by its bytes alone                  | parse, schema, type, size      | a letter at once                      |
// | a bug that a record brings out                | TypeError, RangeError          | alone, once more, then a letter `bug` |
// | a bug that no record of the batch survives    | the same                       | the process ends                      |
// | a wrong deployment (fatal), anything else     | PIPE_TABLE_DRIFT, plain Error  | the process ends                      |
//
// What our own pure code says of a record (`decode`, an outcome `dead`) is never asked for again: it would say the same.
// A sink that owns its position passes the record in the same step, so it is judged once and its letter comes first.
import { AppError, isPoison, isTransient, deadReasons } from '@millrace/kernel'
import type { DeadReason } from '@millrace/kernel'

/** Which way an error of `handle` goes. `again`: another try of the record alone can end otherwise. */
export type Way =
  | { readonly kind: 'transient' | 'failed'; readonly error: unknown }
  | { readonly kind: 'culprit'; readonly reason: DeadReason; readonly again: boolean }

/** The way of `error`; `signal` is that of the call that threw it. Total. */
export function classify(error: unknown, { isolateBugs }: { readonly isolateBugs: boolean }, signal: AbortSignal): Way {
  if (isTransient(error)) return { kind: 'transient', error }
  if (isPoison(error)) {
    const reason = reasonOf(error)
    return { kind: 'culprit', reason, again: reason === 'constraint' }
  }
  if (error instanceof AppError) return { kind: 'failed', error }
  if (signal.aborted && isAbort(error, signal)) return { kind: 'transient', error: signal.reason }
  if (isolateBugs && isBug(error)) return { kind: 'culprit', reason: 'bug', again: false }
  return { kind: 'failed', error }
}

const retries = 3
const factor = 4

/**
 * The wait before a record that was refused `refusals` times is tried again, in milliseconds; undefined: it is not. The
 * first wait is `baseMs`, each further one four times as long; without a base nothing is tried again.
 */
export function recordWaitMs(baseMs: number, refusals: number): number | undefined {
  return baseMs === 0 || refusals > retries ? undefined : baseMs * factor ** (refusals - 1)
}

function reasonOf(error: unknown): DeadReason {
  const named = error instanceof AppError ? error.details['reason'] : undefined
  return deadReasons.find((reason) => reason === named) ?? 'constraint'
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && ['AbortError', 'TimeoutError'].includes(error.name))
}

function isBug(error: unknown): boolean {
  return [TypeError, RangeError, ReferenceError, SyntaxError].some((type) => error instanceof type)
}
