// Work that takes so much memory that a process does one of its kind at a time.
import { AppError } from '@millrace/kernel'

/** Runs work when none is running; throws PIPE_RATE_LIMITED, saying what is being done, while some is. */
export function createOneAtATime(doing: string): <T>(work: () => Promise<T>) => Promise<T> {
  let isBusy = false
  return async (work) => {
    if (isBusy) throw new AppError('PIPE_RATE_LIMITED', `another request is ${doing}; come back after it`)
    isBusy = true
    try {
      return await work()
    } finally {
      isBusy = false
    }
  }
}
