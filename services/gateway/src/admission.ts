// Whether a request is taken on, decided before its body is read: by the bytes that are in the process already, by the
// share of them that belongs to one project, and by whether the event loop keeps up. What is turned away costs a header
// parse and an answer; what is taken on has its memory.
import type { Clock } from '@millrace/kernel'

/** Why a request is turned away. Closed: it is a metric label. */
export type AdmissionReason = 'bytes' | 'project_bytes' | 'lag'

/** A request that was taken on. */
export interface Admitted {
  readonly kind: 'admitted'
  /** Its size is known better by now: the body was chunked, or has been decompressed. Never refused. */
  resize(bytes: number): void
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

/** The bounds of one process. */
export function createAdmission(options: AdmissionOptions): Admission {
  const { clock, maxBytes, maxProjectBytes, overloaded } = options
  const byProject = new Map<string, number>()
  const pace = createPace(clock)
  let inFlight = 0

  const change = (projectId: string | undefined, bytes: number): void => {
    inFlight += bytes
    if (projectId === undefined) return
    const left = (byProject.get(projectId) ?? 0) + bytes
    if (left > 0) byProject.set(projectId, left)
    else byProject.delete(projectId)
  }
  const admit = (projectId: string | undefined, bytes: number): Admitted => {
    let held = Math.max(1, bytes)
    change(projectId, held)
    return {
      kind: 'admitted',
      resize: (next) => {
        if (held === 0) return
        const size = Math.max(1, next)
        change(projectId, size - held)
        held = size
      },
      release: () => {
        if (held === 0) return
        change(projectId, -held)
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
      // A lone request is always taken on, whatever its size: the body limit bounds it, and waiting would not help.
      if (inFlight > 0 && inFlight + bytes > maxBytes) return turnAway('bytes', inFlight + bytes - maxBytes)
      if (projectId !== undefined) {
        const own = byProject.get(projectId) ?? 0
        if (own > 0 && own + bytes > maxProjectBytes) return turnAway('project_bytes', own + bytes - maxProjectBytes)
      }
      return admit(projectId, bytes)
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
