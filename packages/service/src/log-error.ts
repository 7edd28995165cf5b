// Errors as log fields: the first failure leads, and what failed while closing is listed beside it.
import { AppError, toError } from '@millrace/kernel'

/** The fields of one log line for anything thrown; unwraps SuppressedError, whose first error is `.suppressed`. */
export function errorFields(thrown: unknown): Readonly<Record<string, unknown>> {
  const alsoFailed: string[] = []
  let first: unknown = thrown
  while (first instanceof SuppressedError) {
    alsoFailed.push(toError(first.error).message)
    first = first.suppressed
  }
  const error = toError(first)
  return {
    err: error,
    ...(error instanceof AppError ? { code: error.code, class: error.class, ...error.details } : {}),
    ...(alsoFailed.length > 0 ? { alsoFailed } : {})
  }
}
