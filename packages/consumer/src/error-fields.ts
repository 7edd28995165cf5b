// An error as log fields: code, class and message, never the payload that caused it.
import { AppError } from '@millrace/kernel'

/** Log fields of anything thrown. The stack only of a bug. */
export function errorFieldsOf(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof AppError) return { code: error.code, errorClass: error.class, error: error.message }
  if (error instanceof Error) return { code: error.name, error: error.message, stack: error.stack }
  return error === undefined ? {} : { error: String(error) }
}
