// A bug that can be switched on to see that the fault suites notice it; inert outside of tests.
import { AppError } from '@millrace/kernel'

/** Rows are blamed for a PostgreSQL that is away. */
const deadOnOutage = 'recorder-dead-on-outage'

/** `record`, with the bug if it is switched on. */
export function withPlantedOutage<Args extends readonly unknown[], Result>(
  record: (...args: Args) => Promise<Result>,
  planted: ReadonlySet<string>
): (...args: Args) => Promise<Result> {
  if (!planted.has(deadOnOutage)) return record
  return async (...args) => {
    try {
      return await record(...args)
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'PIPE_POSTGRES_UNAVAILABLE') throw error
      throw new AppError('PIPE_POSTGRES_REFUSED', error.message, { cause: error })
    }
  }
}
