// Cache-aside: an answer from Redis while it is fresh; otherwise one process makes it, under a lock, while the others wait
// for it; equal questions of this process share all of that. Without Redis every answer is made, within the
// bounds of the bulkhead; without the engine an older answer stands in, and says so.
import { isTransient } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Priority } from '../bulkhead.ts'
import type { Lease } from '../byte-budget.ts'
import { createFlights } from '../flight.ts'
import type { Flights, Work } from '../flight.ts'
import { toQueryProblem } from '../query-error.ts'
import type { AnswerCache, CacheLock, CacheRead } from './answer-cache.ts'
import type { Entry } from './envelope.ts'
import { isRefreshDue, untilOf } from './freshness.ts'
import type { CacheTimes, Kept } from './freshness.ts'
import type { LocalAnswers } from './local-answers.ts'

/** What a reply says of the cache: from it; made now; from it although its time is over; made without it. */
export type CacheUse = 'HIT' | 'MISS' | 'STALE' | 'BYPASS'

/** A reply that was made. `kept` undefined: it is sent to those who wait, and not stored. */
export interface Made {
  readonly status: number
  readonly contentType: string
  readonly queryId: string
  readonly body: Buffer
  /** Of a large body. */
  readonly lease?: Lease | undefined
  readonly kept: Kept | undefined
}

export interface Question {
  /** From the credential. */
  readonly projectId: string
  readonly key: string
  readonly priority: Priority
  /** Until when the caller waits, on the monotonic clock. */
  readonly deadlineMs: number
  /** `anew`: what the cache holds is not good enough. `apart`: neither read nor stored nor shared. */
  readonly use: 'cache' | 'anew' | 'apart'
  /** Whether an answer whose time is over may stand in for one that cannot be had. */
  readonly allowStale: boolean
  /** Makes the reply. Throws a transient error when it cannot be made now. */
  make(signal: AbortSignal, priority: Priority): Promise<Made>
}

export type Reply = Pick<Entry, 'status' | 'contentType' | 'queryId' | 'body'> & {
  readonly use: CacheUse
  /** Since its making began. */
  readonly ageMs: number
  /** A share in the bytes of a large body; whoever has sent it releases it. */
  readonly lease?: Lease | undefined
}

export interface AnswersDeps {
  readonly cache: AnswerCache
  readonly local: LocalAnswers
  readonly clock: Clock
  readonly times: CacheTimes
  /** [0, 1) */
  readonly random: () => number
  /** Answers made behind, before their time was over. */
  readonly onRefresh?: () => void
}

export interface Answers {
  /** The reply to a question. Throws what making it throws, and the reason of `signal`. */
  ask(question: Question, signal: AbortSignal): Promise<Reply>
}

type Found =
  | { readonly kind: 'reply'; readonly reply: Reply }
  /** Only for those who allow it; the others get the error. */
  | { readonly kind: 'stale'; readonly reply: Reply; readonly error: unknown }

/** Answers over `deps.cache`. */
export function createAnswers(deps: AnswersDeps): Answers {
  const { cache, local, clock } = deps
  const flights = createFlights<Found>({
    onShare: ({ reply }) => reply.lease?.share(),
    onEnd: ({ reply }) => reply.lease?.release()
  })
  const refreshes = createFlights<void>()
  const make = createMaking(deps)
  const hearOfPurge = createHearing(deps)

  const toReply = (entry: Entry & Pick<Reply, 'lease'>, use: CacheUse): Reply => {
    const { status, contentType, queryId, body, madeAtMs, lease } = entry
    return { status, contentType, queryId, body, use, lease, ageMs: Math.max(0, clock.now() - madeAtMs) }
  }
  const isFresh = (entry: Entry): boolean => clock.now() < entry.freshUntilMs
  const readFresh = async ({ projectId, key }: Question): Promise<Entry | undefined> => {
    const read = await cache.read(projectId, key)
    return read.kind === 'read' && read.entry !== undefined && isFresh(read.entry) ? read.entry : undefined
  }

  /** Another process makes it: its answer, or the lock when it has given up without one. */
  const waitForOther = async (question: Question, signal: AbortSignal): Promise<Entry | CacheLock> => {
    for (let pauseMs = 10; ; pauseMs = Math.min(100, pauseMs * 2)) {
      await clock.sleep(pauseMs, signal)
      const entry = await readFresh(question)
      if (entry !== undefined) return entry
      const lock = await cache.lock(question.key)
      if (lock.kind !== 'taken') return lock
    }
  }

  const refreshBehind = (question: Question, read: CacheRead): void => {
    const { key } = question
    refreshes.behind(key, async () => {
      const lock = await cache.lock(key)
      if (lock.kind !== 'held') return
      deps.onRefresh?.()
      const made = await make(question, read, new AbortController().signal, 'background').catch(() => undefined)
      made?.lease?.release()
      await lock.release()
    })
  }

  /** Makes the answer as the only process that does, unless another one has made it meanwhile. */
  const makeOnce = async (question: Question, read: CacheRead, signal: AbortSignal): Promise<Reply> => {
    const { key, priority } = question
    const isShared = question.use === 'cache'
    let lock = await cache.lock(key)
    try {
      // Whoever holds it may be background work: what is critical is made beside it, once in a process.
      if (lock.kind === 'taken' && isShared && priority !== 'critical') {
        const other = await waitForOther(question, signal)
        if (!('kind' in other)) return toReply(other, 'HIT')
        lock = other
      }
      // Whoever held the lock before may have stored the answer since it was looked for.
      const stored = lock.kind === 'held' && isShared ? await readFresh(question) : undefined
      if (stored !== undefined) return toReply(stored, 'HIT')
      return toReply(await make(question, read, signal, priority), 'MISS')
    } finally {
      if (lock.kind === 'held') await lock.release()
    }
  }

  /** Calls `onMake` when the answer begins to be made: it is one of then, however long that and its storing take. */
  const find = async (question: Question, signal: AbortSignal, onMake: () => void): Promise<Found> => {
    const { projectId, key, use, priority } = question
    const told = telling(question, onMake)
    const read = await cache.read(projectId, key, use === 'cache' ? 'any' : 'master')
    if (read.kind === 'read' && !read.isLate) local.keepOnly(projectId, read.generation)
    const found = read.kind === 'read' ? read.entry : undefined
    if (found !== undefined && use === 'cache' && isFresh(found)) {
      if (found.status === 200 && isRefreshDue(found, clock.now(), deps.random())) refreshBehind(question, read)
      return { kind: 'reply', reply: toReply(found, 'HIT') }
    }
    try {
      if (read.kind === 'read') return { kind: 'reply', reply: await makeOnce(told, read, signal) }
      return { kind: 'reply', reply: toReply(await make(told, read, signal, priority), 'BYPASS') }
    } catch (error) {
      const old = found ?? local.get(key)
      const isUsable = old !== undefined && old.status === 200 && clock.now() < old.staleUntilMs
      if (!isUsable || !isTransient(error)) throw error
      return { kind: 'stale', reply: toReply(old, 'STALE'), error }
    }
  }

  return {
    async ask(question, signal) {
      const { use, priority, key, projectId } = question
      if (use === 'apart') {
        const madeAtMs = clock.now()
        const made = await question.make(signal, priority)
        return { ...made, use: 'BYPASS', ageMs: clock.now() - madeAtMs }
      }
      // What is critical does not wait behind background work that asks the same.
      const hasTime = (): boolean => clock.monotonic() < question.deadlineMs
      // Nor does what is asked after a purge join what was begun before; another process may have been told of it.
      const flightNow = (): string => `${use} ${priority} ${local.generationOf(projectId) ?? ''} ${key}`
      if (flights.hasBegun(flightNow())) await hearOfPurge(question, signal)
      const work: Work<Found> = (given, onBegun) => find(question, given, onBegun)
      const found = await joinInTime(flights, flightNow(), signal, work, hasTime)
      if (found.kind === 'stale' && !question.allowStale) throw found.error
      return found.reply
    }
  }
}

/** `question`, which calls `onMake` when its answer begins to be made. */
function telling(question: Question, onMake: () => void): Question {
  return {
    ...question,
    make: (...given) => {
      onMake()
      return question.make(...given)
    }
  }
}

/** A question that would join waits so long to hear whether another process has purged. */
const hearWithinMs = 250

/**
 * Hears of a purge by another process, for a question that would join what was begun before it was asked. Throws the
 * reason of `signal`. What is not heard in time, because Redis is slow or away, counts as no purge, and the question joins:
 * if each made its answer itself instead, all who ask for the same would go to the engine together whenever Redis is silent.
 * Such an answer is older than a purge by no more than the time of one flight; what is heard late counts for those after.
 */
function createHearing({ cache, local, clock }: AnswersDeps) {
  const hear = async (projectId: string): Promise<void> => {
    const generation = await cache.generation(projectId)
    if (generation !== undefined) local.keepOnly(projectId, generation)
  }
  return async ({ projectId, deadlineMs }: Question, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted()
    const { promise: over, resolve, reject } = Promise.withResolvers<void>()
    using _limit = clock.timer(Math.min(hearWithinMs, deadlineMs - clock.monotonic()), resolve)
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([hear(projectId), over])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }
}

/** Makes an answer and stores it where it may be stored. */
function createMaking({ cache, local, clock, times }: AnswersDeps) {
  return async (
    question: Question,
    read: CacheRead,
    signal: AbortSignal,
    priority: Priority
  ): Promise<Entry & Pick<Reply, 'lease'>> => {
    const { projectId, key } = question
    const generation = read.kind === 'read' ? read.generation : (local.generationOf(projectId) ?? '')
    const madeAtMs = clock.now()
    const { kept, lease, ...made } = await question.make(signal, priority)
    const until = kept === undefined ? { freshUntilMs: 0, staleUntilMs: 0 } : untilOf(kept, madeAtMs, times)
    const entry = { projectId, key, generation, madeAtMs, costMs: clock.now() - madeAtMs, ...made, ...until }
    if (kept === undefined) return { ...entry, lease }
    // A large one stands in for nothing: it would push out all others.
    if (lease === undefined) local.set(entry)
    if (read.kind === 'read') await cache.write(entry)
    return { ...entry, lease }
  }
}

/** Work runs within the time of who asked for it first: who joined it and has time left asks once more. */
async function joinInTime<T>(
  flights: Flights<T>,
  key: string,
  signal: AbortSignal,
  work: Work<T>,
  hasTime: () => boolean
): Promise<T> {
  let isOurs = false
  const join = (): Promise<T> =>
    flights.join(key, signal, (...given) => {
      isOurs = true
      return work(...given)
    })
  try {
    return await join()
  } catch (error) {
    if (isOurs || toQueryProblem(error)?.code !== 'query_timeout' || !hasTime()) throw error
    return await join()
  }
}
