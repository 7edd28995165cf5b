// Bounds the bytes of answers that are in memory at once, from the engine to the last byte a client has read. Small answers
// come and go; a large one needs room before it is read, and of one project they take half of the room at most.
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'

/** Bytes that are counted, by everybody who has a share in them. */
export interface Lease {
  /** One more who has to release it. */
  share(): void
  /** Fewer bytes than were reserved. */
  shrink(bytes: number): void
  /** Gives the bytes back when nobody else has a share. */
  release(): void
}

export interface Claim {
  readonly projectId: string
  readonly bytes: number
  readonly signal: AbortSignal
}

export interface ByteBudget {
  /**
   * Room for a large answer. Throws PIPE_CLICKHOUSE_UNAVAILABLE with `details.reason` = bulkhead when there is none in time,
   * and the signal's reason.
   */
  reserve(claim: Claim): Promise<Lease>
  readonly held: number
}

export interface ByteBudgetOptions {
  readonly bytes: number
  readonly waitMs: number
  readonly clock: Clock
  /** Told when `held` has changed. */
  readonly onChange?: (held: number) => void
}

interface Waiter extends Claim {
  readonly enter: (lease: Lease) => void
}

/** A budget of which nothing is taken. */
export function createByteBudget({ bytes: limit, waitMs, clock, onChange }: ByteBudgetOptions): ByteBudget {
  const heldOf = new Map<string, number>()
  const waiters = new Set<Waiter>()
  let held = 0

  const add = (projectId: string, bytes: number): void => {
    held += bytes
    const own = (heldOf.get(projectId) ?? 0) + bytes
    if (own === 0) heldOf.delete(projectId)
    else heldOf.set(projectId, own)
    onChange?.(held)
  }
  // Whoever needs more than there is gets it when nobody else has anything.
  const hasRoom = ({ projectId, bytes }: Claim): boolean => {
    const own = heldOf.get(projectId) ?? 0
    return (held === 0 || held + bytes <= limit) && (own === 0 || own + bytes <= limit / 2)
  }
  const letIn = (): void => {
    for (const waiter of waiters) {
      if (!hasRoom(waiter)) continue
      waiters.delete(waiter)
      waiter.enter(open(waiter))
    }
  }
  const open = ({ projectId, bytes }: Claim): Lease => {
    let own = bytes
    let shares = 1
    add(projectId, own)
    const giveBack = (count: number): void => {
      own -= count
      add(projectId, -count)
      letIn()
    }
    return {
      share: () => void shares++,
      shrink: (rest) => giveBack(own - rest),
      release: () => {
        if (--shares === 0) giveBack(own)
      }
    }
  }

  return {
    async reserve(claim) {
      claim.signal.throwIfAborted()
      if (hasRoom(claim)) return open(claim)
      const { promise, resolve, reject } = Promise.withResolvers<Lease>()
      const waiter = { ...claim, enter: resolve }
      waiters.add(waiter)
      const giveUp = (error: unknown): void => {
        // Who was let in already has the bytes.
        if (waiters.delete(waiter)) reject(error)
      }
      const onAbort = (): void => giveUp(claim.signal.reason)
      claim.signal.addEventListener('abort', onAbort, { once: true })
      using _timer = clock.timer(waitMs, () => giveUp(full()))
      try {
        return await promise
      } finally {
        claim.signal.removeEventListener('abort', onAbort)
      }
    },
    get held() {
      return held
    }
  }
}

function full(): AppError {
  const details = { reason: 'bulkhead' }
  return new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'too many large answers are on their way', { details })
}
