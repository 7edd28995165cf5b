// Bounds what reaches the engine: so many at once, of one project fewer, so many waiting, each for so long. The rest is
// told to come back, which keeps the wait of those inside short (the bulkhead pattern). Projects take turns as they came;
// of one project what is critical goes first, and no project goes before another one by calling its work critical. Whoever
// says that work is in the background lets all others go first. When the queue is full, background work leaves it first,
// then what is least important of the project with the longest line.
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'

export const priorities = ['critical', 'normal', 'background'] as const
export type Priority = (typeof priorities)[number]

export interface BulkheadOptions {
  readonly running: number
  /** Of one project. */
  readonly runningOfProject: number
  readonly queued: number
  readonly waitMs: number
  readonly clock: Clock
  /** Told when somebody has come in, left, or begun to wait. */
  readonly onChange?: () => void
  /** Told of each refusal. */
  readonly onRefused?: (priority: Priority) => void
}

export interface Visitor {
  readonly projectId: string
  readonly priority: Priority
  readonly signal: AbortSignal
}

export interface Bulkhead {
  /**
   * Runs `work` when there is a place. Throws PIPE_CLICKHOUSE_UNAVAILABLE with `details.reason` = bulkhead when the queue
   * is full or the wait too long, and the signal's reason when it aborts while waiting.
   */
  run<T>(work: () => Promise<T>, visitor: Visitor): Promise<T>
  readonly inside: number
  readonly waiting: number
}

interface Waiter {
  readonly projectId: string
  readonly rank: number
  readonly enter: () => void
  readonly leave: (error: unknown) => void
}

/** A bulkhead with nobody inside. */
export function createBulkhead(options: BulkheadOptions): Bulkhead {
  const { clock } = options
  /** As they came, background work last. */
  const waiters: Waiter[] = []
  const insideOf = new Map<string, number>()
  let inside = 0

  const mayEnter = (projectId: string): boolean =>
    inside < options.running && (insideOf.get(projectId) ?? 0) < options.runningOfProject
  const enter = (projectId: string): void => {
    inside++
    insideOf.set(projectId, (insideOf.get(projectId) ?? 0) + 1)
    options.onChange?.()
  }
  const leave = (projectId: string): void => {
    inside--
    const others = (insideOf.get(projectId) ?? 1) - 1
    if (others === 0) insideOf.delete(projectId)
    else insideOf.set(projectId, others)
    const turn = waiters.find((waiter) => mayEnter(waiter.projectId))
    if (turn === undefined) return options.onChange?.()
    // The turn is the project's; it gives it to what matters most.
    const next = ofProject(turn.projectId).reduce((best, each) => (each.rank < best.rank ? each : best))
    // The place is taken here and not when the waiter wakes up, or somebody else could take it in between.
    remove(waiters, next)
    enter(next.projectId)
    next.enter()
  }

  const ofProject = (projectId: string): Waiter[] => waiters.filter((each) => each.projectId === projectId)

  const makeRoom = (newcomer: Pick<Waiter, 'projectId' | 'rank'>): void => {
    if (waiters.length < options.queued) return
    const victim = victimOf(waiters, newcomer)
    if (victim === undefined) throw full('too many queries wait already')
    remove(waiters, victim)
    victim.leave(full('too many queries wait, and others go first'))
  }

  const waitForPlace = async ({ projectId, priority, signal }: Visitor): Promise<void> => {
    if (mayEnter(projectId)) return enter(projectId)
    const rank = priorities.indexOf(priority)
    makeRoom({ projectId, rank })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter: Waiter = { projectId, rank, enter: resolve, leave: reject }
    const giveUp = (error: unknown): void => {
      // Whoever has a place already keeps it.
      if (remove(waiters, waiter)) reject(error)
    }
    const onAbort = (): void => giveUp(signal.reason)
    const before = rank === background ? -1 : waiters.findIndex((other) => other.rank === background)
    waiters.splice(before < 0 ? waiters.length : before, 0, waiter)
    options.onChange?.()
    signal.addEventListener('abort', onAbort, { once: true })
    using _timer = clock.timer(options.waitMs, () => giveUp(full(`no place within ${options.waitMs} ms`)))
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
      options.onChange?.()
    }
  }

  return {
    run: async (work, visitor) => {
      visitor.signal.throwIfAborted()
      try {
        await waitForPlace(visitor)
      } catch (error) {
        if (!visitor.signal.aborted) options.onRefused?.(visitor.priority)
        throw error
      }
      try {
        return await work()
      } finally {
        leave(visitor.projectId)
      }
    },
    get inside() {
      return inside
    },
    get waiting() {
      return waiters.length
    }
  }
}

const background = priorities.indexOf('background')

/** Who leaves a full queue for the newcomer; undefined: nobody. */
function victimOf(waiters: readonly Waiter[], newcomer: Pick<Waiter, 'projectId' | 'rank'>): Waiter | undefined {
  const isLast = (rank: number): boolean => rank === background
  const others = waiters.filter(({ rank }) => isLast(rank))
  if (others.length > 0 && !isLast(newcomer.rank)) return leastOfLongest(others).victim
  // In the background nobody pushes out what is not.
  const equals = isLast(newcomer.rank) ? others : waiters
  if (equals.length === 0) return undefined
  const { victim, line } = leastOfLongest(equals)
  const own = equals.filter(({ projectId }) => projectId === newcomer.projectId)
  if (line > own.length + 1) return victim
  const least = own.reduce<Waiter | undefined>((last, each) => (last && last.rank > each.rank ? last : each), undefined)
  return least !== undefined && least.rank > newcomer.rank ? least : undefined
}

/** Of the project with the longest line what matters least, of equals what came last. */
function leastOfLongest(waiters: readonly Waiter[]): { readonly victim: Waiter; readonly line: number } {
  const lines = [...Map.groupBy(waiters, ({ projectId }) => projectId).values()]
  const longest = lines.reduce((most, line) => (line.length >= most.length ? line : most))
  return { victim: longest.reduce((last, each) => (each.rank >= last.rank ? each : last)), line: longest.length }
}

function remove(waiters: Waiter[], waiter: Waiter): boolean {
  const at = waiters.indexOf(waiter)
  if (at >= 0) waiters.splice(at, 1)
  return at >= 0
}

function full(message: string): AppError {
  return new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', message, { details: { reason: 'bulkhead' } })
}
