// A member of a group for as long as its process lives: it follows the topic list, waits for a cluster that is away, and
// says onFatal once for everything else. Each topic list and each return of the cluster is a new session.
//
// | state     | entered when                                    | left when                                      |
// | resolving | start; a session ended                          | topics known: joined; none: holds nothing,     |
// |           |                                                 | waits for refresh                              |
// | joined    | a session runs                                  | topics changed or cluster away: resolving      |
// | dead      | the client failed for good, or a handler threw  | never                                          |
// | stopped   | stop                                            | never                                          |
import { AppError, backoffMs } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Kafka as KafkaJS } from 'kafkajs'
import type { Logger } from '@millrace/observability'
import { classifyKafka, toAppError } from './kafkajs-errors.ts'
import { startSession } from './kafkajs-session.ts'
import type { GroupSession } from './kafkajs-session.ts'
import type { GroupHandlers, GroupMember, GroupOptions } from './port.ts'
import { createSerial } from './serial.ts'

export interface MemberDeps {
  /** A fresh client of the library for every session. */
  readonly createClient: () => KafkaJS
  /** Topics that exist now. */
  readonly listTopics: () => Promise<readonly string[]>
  readonly clock: Clock
  readonly log: Logger
}

const restartPolicy = { baseMs: 500, capMs: 5_000, jitter: 0.2 }

/** Starts a member; it joins in the background and reports through the handlers. */
export function startMember(options: GroupOptions, handlers: GroupHandlers, deps: MemberDeps): GroupMember {
  const { clock, log } = deps
  const calls = createSerial()
  const stopping = new AbortController()
  const ghosts = new Set<string>()
  let session: GroupSession | undefined

  const die = (error: unknown): void => {
    if (stopping.signal.aborted) return
    const fatal = error instanceof AppError && error.class === 'fatal' ? error : toFatal(error, options.groupId)
    log.error({ group: options.groupId, err: fatal }, 'the group member is dead')
    calls.run(() => (stopping.signal.aborted ? undefined : handlers.onFatal(fatal))).catch(() => undefined)
  }
  const loop = async (): Promise<void> => {
    let failures = 0
    let isIdle = false
    while (!stopping.signal.aborted) {
      const topics = await resolveTopics(options, deps).catch((error: unknown) => waitable(error, 'resolving topics'))
      if (topics instanceof AppError) {
        log.warn({ group: options.groupId, code: topics.code }, 'topics could not be read, trying again')
        await clock.sleep(backoffMs(restartPolicy, ++failures), stopping.signal)
        continue
      }
      if (topics.length === 0) {
        // Nothing to hold is an assignment, too: who waits for the first topic is not one who cannot join.
        if (!isIdle) await calls.run(() => handlers.onAssigned([]))
        isIdle = true
        await clock.sleep(untilRefresh(clock, options.topicRefreshMs), stopping.signal)
        continue
      }
      isIdle = false
      const startedAtMs = clock.monotonic()
      const crash = await live(topics)
      if (crash === undefined) continue
      if (clock.monotonic() - startedAtMs > 60_000) failures = 0
      const { code } = waitable(crash, `reading as ${options.groupId}`)
      log.warn({ group: options.groupId, code, reason: classifyKafka(crash).code }, 'left the group, joining again')
      await clock.sleep(backoffMs(restartPolicy, ++failures), stopping.signal)
    }
  }
  /** One session; the error that ended it, or undefined when the topic list changed. */
  const live = async (topics: readonly string[]): Promise<Error | undefined> => {
    const own = startSession({ client: deps.createClient(), topics, options, handlers, calls, clock, log, ghosts })
    session = own
    const over = new AbortController()
    try {
      const ended = own.ended.then((error) => ({ error }))
      const changed = watchTopics(topics, AbortSignal.any([stopping.signal, over.signal]), options, deps)
      const first = await Promise.race([ended, changed.then(() => undefined)])
      if (first !== undefined) return first.error
      if (!stopping.signal.aborted) await own.drain()
      return undefined
    } finally {
      over.abort()
      await own.close()
    }
  }
  const running = loop().catch((error: unknown) => die(error))

  return {
    pause: (partitions) => session?.pause(partitions),
    resume: (partitions) => session?.resume(partitions),
    seek: (partition, offset) => session?.seek(partition, offset),
    commit: async (commits) => (await session?.commit(commits)) ?? 'fenced',
    async stop() {
      calls.close()
      stopping.abort()
      await running
    }
  }
}

/** What waiting can help as an AppError; everything else is thrown. */
function waitable(error: unknown, doing: string): AppError {
  if (error instanceof AppError) {
    if (error.class === 'transient' || error.code === 'PIPE_TOPIC_MISSING') return error
    throw error
  }
  const { kind } = classifyKafka(error)
  if (kind === 'fatal' || kind === 'refused') throw toAppError(error, doing)
  return toAppError(error, doing)
}

function toFatal(error: unknown, groupId: string): AppError {
  return new AppError('PIPE_KAFKA_FATAL', `the member of ${groupId} failed for good`, { cause: error })
}

/** The wanted topics that exist, sorted: one that does not exist yet would fail the metadata of all the others. */
async function resolveTopics(options: GroupOptions, { listTopics }: MemberDeps): Promise<readonly string[]> {
  const wanted = new Set(await options.topics())
  const existing = await listTopics()
  return existing.filter((topic) => wanted.has(topic)).sort()
}

/** Resolves when the topic list is another one than `topics`, or on abort. Asks at multiples of the refresh time. */
async function watchTopics(
  topics: readonly string[],
  signal: AbortSignal,
  options: GroupOptions,
  deps: MemberDeps
): Promise<void> {
  while (!signal.aborted) {
    await deps.clock.sleep(untilRefresh(deps.clock, options.topicRefreshMs), signal).catch(() => undefined)
    if (signal.aborted) return
    try {
      const now = await resolveTopics(options, deps)
      if (now.length !== topics.length || now.some((topic, index) => topic !== topics[index])) return
    } catch (error) {
      const { code } = classifyKafka(error)
      deps.log.warn({ group: options.groupId, code }, 'topics could not be refreshed, keeping the known ones')
    }
  }
}

/** Milliseconds to the next multiple of `everyMs` on the wall clock: all members change their topics together. */
function untilRefresh(clock: Clock, everyMs: number): number {
  return everyMs - (clock.now() % everyMs)
}
