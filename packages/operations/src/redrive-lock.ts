// One redrive of a project at a time, however long it takes: the lock is of a connection of its own and not of the pool, from
// which a transaction of minutes would take one, and through PgBouncer one of everybody's.
import { AppError } from '@millrace/kernel'
import { withAdvisoryLock } from '@millrace/stores/advisory-lock'

/**
 * Runs `work` while nobody else redrives letters of the project. Throws PIPE_CONFLICT while somebody does, and
 * PIPE_POSTGRES_UNAVAILABLE when the lock is lost; from then on `assertHeld` throws, and `work` has to end.
 */
export type RedriveLock = <T>(projectId: string, work: (assertHeld: () => void) => Promise<T>) => Promise<T>

/** Whoever holds it is not waited for. */
const waitMs = 100

/** The lock in the PostgreSQL of `directUrl`, which no pooler stands before. */
export function createRedriveLock(
  directUrl: string,
  withLock: typeof withAdvisoryLock = withAdvisoryLock
): RedriveLock {
  return async (projectId, work) => {
    let state: 'asked' | 'held' | 'over' = 'asked'
    const assertHeld = (): void => {
      if (state === 'held') return
      throw new AppError('PIPE_POSTGRES_UNAVAILABLE', `the lock of the redrive of '${projectId}' is lost; repeat it`)
    }
    const locked = async () => {
      state = 'held'
      return await work(assertHeld)
    }
    try {
      return await withLock(directUrl, `millrace:redrive:${projectId}`, locked, { waitMs })
    } catch (error) {
      if (state !== 'asked' || !(error instanceof AppError) || error.code !== 'PIPE_DEADLINE') throw error
      const advice = 'wait for the end of it'
      throw new AppError('PIPE_CONFLICT', `letters of '${projectId}' are being redriven already; ${advice}`, {
        cause: error
      })
    } finally {
      state = 'over'
    }
  }
}
