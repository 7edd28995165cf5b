// Rate limits of a project, of its event types and of its users. Every decision is made from buckets in this process, so
// it costs no round trip; ten times a second the process tells a shared bucket what it gave away and learns what the
// other processes gave. Together they may therefore exceed a rate for a tenth of a second, which the next ones repay.
import type { EventRate, ProjectContext } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { createBoundedMap } from '@millrace/stores/bounded-map'
import type { BucketScope, SharedBuckets } from '@millrace/stores/shared-buckets'
import { afterTaking, tokensAt, waitForMs } from '@millrace/stores/token-bucket'

/** What a limit looks at. */
export interface LimitedEvent {
  readonly event: { readonly eventType: string; readonly userId?: string | undefined }
}

/** An event that has to wait, and the limit that says so. */
export interface Limited {
  readonly scope: BucketScope
  /** When a repeat of all that were turned away at once will pass. */
  readonly retryAfterMs: number
}

export interface RateLimiter {
  /**
   * One token per event from each bucket it belongs to, for as many events as have them: an entry per event, undefined
   * lets it pass; undefined when all pass. What is turned away takes nothing.
   */
  take(project: ProjectContext, events: readonly LimitedEvent[]): readonly (Limited | undefined)[] | undefined
  /** Whether not one event of the project would pass now: known before its request is read. */
  exhausted(project: ProjectContext): Limited | undefined
}

export interface RateLimiterOptions {
  readonly clock: Clock
  /** For projects that set no rate of their own; undefined: no limit. */
  readonly defaultRate?: EventRate | undefined
  /** Without it each process limits by itself. */
  readonly shared?: SharedBuckets
  readonly shareEveryMs?: number
  /** Buckets of each scope remembered at most; the one unused for longest is forgotten, which is to say, full. */
  readonly maxBuckets?: number
  /** Told when shared buckets could not be reached, or not all of them: this process limits by itself meanwhile. */
  readonly onShareFailure?: () => void
}

/** A bucket of this process. */
interface Bucket {
  readonly projectId: string
  readonly scope: BucketScope
  readonly subject: string
  rate: EventRate
  fullAtMs: number
  /** Given away and not told yet; above 0 exactly while the bucket is in the list of those to tell. */
  untold: number
}

/** The limits of all projects, over buckets of this process and, when given, shared ones. */
export function createRateLimiter(options: RateLimiterOptions): RateLimiter {
  const { clock, defaultRate, maxBuckets = 50_000 } = options
  const buckets = {
    project: createBoundedMap<string, Bucket>(maxBuckets),
    type: createBoundedMap<string, Bucket>(maxBuckets),
    user: createBoundedMap<string, Bucket>(maxBuckets)
  }
  const share = options.shared === undefined ? undefined : createSharing({ ...options, shared: options.shared })

  const bucketOf = (projectId: string, scope: BucketScope, subject: string, rate: EventRate): Bucket => {
    // A project id holds no space.
    const key = scope === 'project' ? projectId : `${projectId} ${subject}`
    const map = buckets[scope]
    let bucket = map.get(key)
    if (bucket === undefined) {
      bucket = { projectId, scope, subject, rate, fullAtMs: 0, untold: 0 }
      map.set(key, bucket)
    }
    // Settings may have changed since.
    bucket.rate = rate
    return bucket
  }
  const spend = (bucket: Bucket, count: number, nowMs: number): void => {
    bucket.fullAtMs = afterTaking(bucket.fullAtMs, count, bucket.rate, nowMs)
    share?.(bucket, count)
  }

  const takeWhole = (bucket: Bucket, count: number, nowMs: number): readonly (Limited | undefined)[] | undefined => {
    const given = Math.max(0, Math.min(count, tokensAt(bucket.fullAtMs, bucket.rate, nowMs)))
    if (given > 0) spend(bucket, given, nowMs)
    if (given === count) return undefined
    const limited = toLimited(bucket, count - given, nowMs)
    return Array.from({ length: count }, (_, at) => (at < given ? undefined : limited))
  }

  const takeEach = (
    { projectId, settings: { limits } }: ProjectContext,
    whole: EventRate | undefined,
    events: readonly LimitedEvent[],
    nowMs: number
  ): readonly (Limited | undefined)[] | undefined => {
    const empty = new Map<Bucket, number>()
    const emptyOf = events.map(({ event: { eventType, userId } }): Bucket | undefined => {
      const needed: Bucket[] = []
      if (limits.perUser !== undefined && userId !== undefined) {
        needed.push(bucketOf(projectId, 'user', userId, limits.perUser))
      }
      if (limits.perEventType !== undefined) needed.push(bucketOf(projectId, 'type', eventType, limits.perEventType))
      if (whole !== undefined) needed.push(bucketOf(projectId, 'project', '', whole))
      const lacking = needed.find((bucket) => tokensAt(bucket.fullAtMs, bucket.rate, nowMs) < 1)
      if (lacking === undefined) for (const bucket of needed) spend(bucket, 1, nowMs)
      else empty.set(lacking, (empty.get(lacking) ?? 0) + 1)
      return lacking
    })
    if (empty.size === 0) return undefined
    const limited = new Map([...empty].map(([bucket, count]) => [bucket, toLimited(bucket, count, nowMs)]))
    return emptyOf.map((bucket) => bucket && limited.get(bucket))
  }

  return {
    take: (project, events) => {
      const { limits } = project.settings
      const whole = limits.project ?? defaultRate
      if (limits.perUser !== undefined || limits.perEventType !== undefined) {
        return takeEach(project, whole, events, clock.monotonic())
      }
      if (whole === undefined) return undefined
      return takeWhole(bucketOf(project.projectId, 'project', '', whole), events.length, clock.monotonic())
    },
    exhausted: ({ projectId, settings: { limits } }) => {
      const whole = limits.project ?? defaultRate
      if (whole === undefined) return undefined
      const bucket = bucketOf(projectId, 'project', '', whole)
      const nowMs = clock.monotonic()
      return tokensAt(bucket.fullAtMs, whole, nowMs) < 1 ? toLimited(bucket, 1, nowMs) : undefined
    }
  }
}

function toLimited({ scope, fullAtMs, rate }: Bucket, count: number, nowMs: number): Limited {
  return { scope, retryAfterMs: waitForMs(fullAtMs, count, rate, nowMs) }
}

/** Buckets told in one call at most. */
const maxToTell = 20_000

type SharingOptions = RateLimiterOptions & { readonly shared: SharedBuckets }

/** Notes what was given away and tells it, all buckets in one write; a timer runs only while there is something to tell. */
function createSharing(options: SharingOptions): (bucket: Bucket, count: number) => void {
  const { clock, shared, shareEveryMs = 100, onShareFailure } = options
  let toTell: Bucket[] = []
  let waiting = false
  let isTruncated = false

  const tell = async (): Promise<void> => {
    const told = toTell
    toTell = []
    isTruncated = false
    const spendings = told.map((bucket) => ({ ...bucket, count: bucket.untold }))
    for (const bucket of told) bucket.untold = 0
    try {
      const waits = await shared.spend(spendings)
      const nowMs = clock.monotonic()
      for (const [at, bucket] of told.entries()) {
        // What was given away while the message was under way is on top. A bucket only ever learns that it holds less.
        const fullAtMs = afterTaking(nowMs + (waits[at] ?? 0), bucket.untold, bucket.rate, nowMs)
        bucket.fullAtMs = Math.max(bucket.fullAtMs, fullAtMs)
      }
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      onShareFailure?.()
    }
  }
  const schedule = (): void => {
    waiting = true
    clock.timer(shareEveryMs, () => {
      void tell().finally(() => {
        waiting = false
        if (toTell.length > 0) schedule()
      })
    })
  }
  return (bucket, count) => {
    if (bucket.untold === 0) {
      // While a call hangs, every user who comes would be one more to remember.
      if (toTell.length >= maxToTell) {
        if (!isTruncated) onShareFailure?.()
        isTruncated = true
        return
      }
      toTell.push(bucket)
    }
    bucket.untold += count
    if (!waiting) schedule()
  }
}
