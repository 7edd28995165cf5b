// Whether a request is taken on, decided before its body is read and again as the body turns out larger: by the bytes that
// are in the process already, by the share of them that belongs to one project, and by whether the event loop keeps up.
// What is turned away by its head costs a header parse and an answer; what is taken on has its memory.
import type { Clock } from '@millrace/kernel'

/** Why a request is turned away. Closed: it is a metric label. */
export type AdmissionReason = 'bytes' | 'project_bytes' | 'lag'

/** A request that was taken on. */
export interface Admitted {
  readonly kind: 'admitted'
  /**
   * Its size is known better by now: more of a chunked body has come, or has been decompressed. What outgrows a bound is
   * turned away then, and holds what it held until it is released.
   */
  resize(bytes: number): TurnedAway | undefined
  /** Its memory is free again. Calling it twice changes nothing. */
  release(): void
}

export interface TurnedAway {
  readonly kind: 'turned-away'
  readonly reason: AdmissionReason
  /** When there will be room at the present pace, without jitter. */
  readonly retryAfterMs: number
}

export interface Admission {
  /** Takes on a body of `bytes` for `projectId`, or for nobody yet, when the key is not known before the body is. */
  enter(projectId: string | undefined, bytes: number): Admitted | TurnedAway
  /** Bytes of all requests that are under way. */
  bytesInFlight(): number
}

export interface AdmissionOptions {
  readonly clock: Clock
  readonly maxBytes: number
  /** Bytes of one project at most. */
  readonly maxProjectBytes: number
  /** Whether the event loop lags too much for more work. */
  readonly overloaded: () => boolean
}

const shortestRetryMs = 1_000
const longestRetryMs = 30_000
/** While there is no pace to go by: nothing has been released for a while. */
const blindRetryMs = 5_000

/** What one project has in flight. */
interface Account {
  bytes: number
}

/** Beyond it accounts that hold nothing are forgotten. */
const maxIdleAccounts = 10_000

/** The bounds of one process. */
export function createAdmission(options: AdmissionOptions): Admission {
  const { clock, maxBytes, maxProjectBytes, overloaded } = options
  const accounts = new Map<string, Account>()
  const pace = createPace(clock)
  let inFlight = 0

  /** Found again, not made anew: a Map whose entries come and go with each request is rebuilt all the time. */
  const accountOf = (projectId: string): Account => {
    const known = accounts.get(projectId)
    if (known !== undefined) return known
    if (accounts.size >= maxIdleAccounts) for (const [id, { bytes }] of accounts) if (bytes === 0) accounts.delete(id)
    const made: Account = { bytes: 0 }
    accounts.set(projectId, made)
    return made
  }
  const change = (account: Account | undefined, bytes: number): void => {
    inFlight += bytes
    if (account !== undefined) account.bytes += bytes
  }
  /** Why `bytes` more cannot be taken on, for a request that holds `held` already. */
  const excessOf = (account: Account | undefined, held: number, bytes: number): TurnedAway | undefined => {
    // A lone request is always taken on, whatever its size: the body limit bounds it, and waiting would not help.
    if (inFlight > held && inFlight + bytes > maxBytes) return turnAway('bytes', inFlight + bytes - maxBytes)
    if (account === undefined) return undefined
    const own = account.bytes
    if (own <= held || own + bytes <= maxProjectBytes) return undefined
    return turnAway('project_bytes', own + bytes - maxProjectBytes)
  }
  const admit = (account: Account | undefined, bytes: number): Admitted => {
    let held = Math.max(1, bytes)
    change(account, held)
    return {
      kind: 'admitted',
      resize: (next) => {
        if (held === 0) return undefined
        const more = Math.max(1, next) - held
        const turnedAway = more > 0 ? excessOf(account, held, more) : undefined
        if (turnedAway !== undefined) return turnedAway
        change(account, more)
        held += more
        return undefined
      },
      release: () => {
        if (held === 0) return
        change(account, -held)
        pace.add(held)
        held = 0
      }
    }
  }
  const turnAway = (reason: AdmissionReason, excess: number): TurnedAway => ({
    kind: 'turned-away',
    reason,
    retryAfterMs: Math.min(longestRetryMs, Math.max(shortestRetryMs, pace.timeFor(excess)))
  })

  return {
    enter: (projectId, bytes) => {
      if (overloaded()) return turnAway('lag', inFlight)
      const account = projectId === undefined ? undefined : accountOf(projectId)
      return excessOf(account, 0, bytes) ?? admit(account, bytes)
    },
    bytesInFlight: () => inFlight
  }
}

const spanMs = 1_000

/** How fast bytes leave: those of the last whole second and of the one that runs. */
function createPace(clock: Clock): { add(bytes: number): void; timeFor(bytes: number): number } {
  let startedAtMs = clock.monotonic()
  let now = 0
  let before = 0
  const roll = (): number => {
    const elapsed = clock.monotonic() - startedAtMs
    if (elapsed < spanMs) return elapsed
    before = elapsed < 2 * spanMs ? now : 0
    now = 0
    startedAtMs += Math.floor(elapsed / spanMs) * spanMs
    return elapsed % spanMs
  }
  return {
    add: (bytes) => {
      roll()
      now += bytes
    },
    timeFor: (bytes) => {
      const elapsed = roll()
      const perMs = (now + before) / (elapsed + spanMs)
      return perMs === 0 ? blindRetryMs : Math.ceil(bytes / perMs)
    }
  }
}
