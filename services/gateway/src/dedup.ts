// Deduplication as the gateway uses it: lease, publish, commit. Redis being away costs copies, never an event and never
// an answer, so every failure here ends as `unchecked` or as a late commit, and is counted.
import type { DedupLease, DedupSlot } from '@millrace/stores/dedup-lease'
import { retry } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'

/** The right to publish one event, and the duty to say what became of it. Neither call rejects. */
export interface Hold {
  /** False when Redis could not say whether the event is new. */
  readonly checked: boolean
  /** The log acknowledged the event. Resolves when the mark is set, at the latest after `commitWaitMs`. */
  commit(): Promise<void>
  /** The event is certainly not in the log, and this attempt is over. */
  release(): Promise<void>
}

export type Admission =
  | { readonly kind: 'admitted'; readonly hold: Hold }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'busy' }

/** Decides whether an event is new. Disposing it waits for the marks that are still being written. */
export interface Dedup extends AsyncDisposable {
  admit(project: string, eventId: string): Promise<Admission>
}

export interface DedupSettings {
  /** Longest wait for a mark before the client is answered anyway. */
  readonly commitWaitMs: number
  /** After a failure Redis is left alone for this time; one event a time then tries it. */
  readonly restMs: number
  /** How long a mark that could not be written is tried again: the life of the lease. */
  readonly commitRetryMs: number
  /** Marks tried again at once at most; beyond it they are given up and counted. */
  readonly maxCommitRetries: number
}

export interface DedupDeps {
  readonly lease: DedupLease
  readonly clock: Clock
  readonly settings: DedupSettings
  /** Told about each failed call; `lost` is a mark given up for good. */
  readonly onFailure: (operation: 'reserve' | 'commit' | 'release' | 'lost') => void
}

/** The lease protocol with its fallback. */
export function createDedup(deps: DedupDeps): Dedup {
  const { lease, clock, settings, onFailure } = deps
  const commits = new Set<Promise<void>>()
  const stop = new AbortController()
  let retrying = 0
  let restUntilMs = 0

  const rest = (): void => {
    restUntilMs = clock.monotonic() + settings.restMs
  }
  const resting = (): boolean => {
    if (restUntilMs === 0) return false
    if (clock.monotonic() < restUntilMs) return true
    // This caller tries Redis; the others stay away until it knows.
    rest()
    return false
  }

  const commitUntilDone = async (slot: DedupSlot): Promise<void> => {
    try {
      await lease.commit(slot)
    } catch {
      onFailure('commit')
      rest()
      if (retrying >= settings.maxCommitRetries || stop.signal.aborted) return onFailure('lost')
      retrying++
      try {
        const policy = { baseMs: settings.restMs, capMs: 5_000, jitter: 0.2 }
        const attempts = 1 + Math.ceil(settings.commitRetryMs / policy.capMs)
        await clock.sleep(policy.baseMs, stop.signal)
        await retry(() => lease.commit(slot), { policy, clock, attempts, signal: stop.signal })
      } catch {
        onFailure('lost')
      } finally {
        retrying--
      }
    }
  }

  // One timer for all marks of a turn: under load a turn ends the waiting of dozens of requests.
  let limit: Promise<void> | undefined
  const waitLimit = (): Promise<void> => {
    if (limit !== undefined) return limit
    const { promise, resolve } = Promise.withResolvers<void>()
    clock.timer(settings.commitWaitMs, resolve)
    setImmediate(() => (limit = undefined))
    limit = promise
    return promise
  }

  const commit = async (slot: DedupSlot): Promise<void> => {
    const written = commitUntilDone(slot)
    commits.add(written)
    void written.then(() => commits.delete(written))
    await Promise.race([written, waitLimit()])
  }

  /** `token` is undefined when Redis gave no lease. */
  const hold = (slot: DedupSlot, token: string | undefined): Hold => ({
    checked: token !== undefined,
    commit: () => commit(slot),
    release: async () => {
      if (token === undefined) return
      await lease.release(slot, token).catch(() => onFailure('release'))
    }
  })

  return {
    admit: async (project, eventId) => {
      const slot = lease.slot(project, eventId)
      if (resting()) return { kind: 'admitted', hold: hold(slot, undefined) }
      try {
        const reservation = await lease.reserve(slot)
        restUntilMs = 0
        return reservation.kind === 'new' ? { kind: 'admitted', hold: hold(slot, reservation.token) } : reservation
      } catch {
        onFailure('reserve')
        rest()
        return { kind: 'admitted', hold: hold(slot, undefined) }
      }
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort(new Error('the gateway is stopping'))
      await Promise.all(commits)
    }
  }
}

/**
 * The mistake this service must never make, for the fault harness to find: the mark is final before the log has the
 * event, so a crash or a refusal in between turns every retry into a false "duplicate".
 */
export function createDedupBeforeAck(lease: DedupLease): Dedup {
  const hold: Hold = { checked: true, commit: async () => {}, release: async () => {} }
  return {
    admit: async (project, eventId) => {
      const slot = lease.slot(project, eventId)
      const { kind } = await lease.reserve(slot).catch(() => ({ kind: 'new' }))
      if (kind !== 'new') return { kind: 'duplicate' }
      await lease.commit(slot).catch(() => {})
      return { kind: 'admitted', hold }
    },
    [Symbol.asyncDispose]: async () => {}
  }
}
