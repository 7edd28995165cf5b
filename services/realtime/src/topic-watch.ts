// Topics that are read only while somebody watches them, from their end: one group member per topic, without commits.
// A member that joins again goes on where it was, so a short absence of the broker loses nothing.
import { AppError, isTransient, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Admin, ConsumerClient, GroupMember, KafkaRecord, TopicPartition } from '@millrace/kafka'
import { partitionKey } from '@millrace/kafka'
import type { Logger } from '@millrace/observability'

/** Who watches. Listeners of one topic are called one after the other and must be fast. */
export interface TopicListener<T> {
  onValues(values: readonly T[]): void
  /** Everything appended from now on will come: a snapshot that is read now misses nothing. */
  onLive(): void
}

export interface TopicWatch<T> {
  /** Begins to watch what `decode` gives `route`; dispose it to end. Throws PIPE_CONFLICT when too many are watched. */
  watch(topic: string, route: string, listener: TopicListener<T>): Disposable
}

export interface TopicWatchOptions<T> {
  readonly consumers: ConsumerClient
  readonly admin: Pick<Admin, 'ranges' | 'listTopics'>
  readonly clock: Clock
  readonly log: Logger
  /** Begins the names of the groups; differs between instances and runs. */
  readonly instance: string
  /** What a record is and whom it concerns; undefined: nobody. `isWatched` tells before the work is done. */
  readonly decode: (
    record: KafkaRecord,
    isWatched: (route: string) => boolean
  ) => { readonly route: string; readonly value: T } | undefined
  readonly settings: TopicWatchSettings
  readonly onFatal: (error: Error) => void
  /** Ends waiting for a cluster that does not answer. */
  readonly signal: AbortSignal
}

export interface TopicWatchSettings {
  /** A topic is read on for this long after the last one left. */
  readonly lingerMs: number
  /** How soon a topic that did not exist is found. */
  readonly topicRefreshMs: number
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  /** Topics read at once. */
  readonly maxTopics: number
}

interface Watched<T> {
  readonly topic: string
  readonly routes: Map<string, Set<TopicListener<T>>>
  readonly positions: Map<string, bigint>
  member: Promise<GroupMember | undefined>
  listeners: number
  /** The member has its positions. */
  live: boolean
  linger: Disposable | undefined
}

/** Watches topics of one kind. Disposing it leaves every group. */
export function createTopicWatch<T>(options: TopicWatchOptions<T>): TopicWatch<T> & AsyncDisposable {
  const { clock, log, settings } = options
  const topics = new Map<string, Watched<T>>()
  const leaving = new Set<Promise<void>>()

  const begin = (topic: string): Watched<T> => {
    if (topics.size >= settings.maxTopics) throw new AppError('PIPE_CONFLICT', 'too many topics are watched')
    const watched: Watched<T> = {
      topic,
      routes: new Map(),
      positions: new Map(),
      member: Promise.resolve(undefined),
      listeners: 0,
      live: false,
      linger: undefined
    }
    watched.member = join(options, watched).catch((error: unknown) => {
      options.onFatal(toError(error))
      return undefined
    })
    topics.set(topic, watched)
    return watched
  }

  const end = (watched: Watched<T>): void => {
    topics.delete(watched.topic)
    const left = watched.member
      .then((member) => member?.stop())
      .catch((error: unknown) => log.warn({ err: error, topic: watched.topic }, 'leaving a topic failed'))
      .finally(() => leaving.delete(left))
    leaving.add(left)
  }

  const release = (watched: Watched<T>, route: string, listener: TopicListener<T>): void => {
    const listeners = watched.routes.get(route)
    if (listeners?.delete(listener) !== true) return
    if (listeners.size === 0) watched.routes.delete(route)
    watched.listeners--
    if (watched.listeners > 0) return
    watched.linger = clock.timer(settings.lingerMs, () => end(watched))
  }

  return {
    watch(topic, route, listener) {
      const watched = topics.get(topic) ?? begin(topic)
      watched.linger?.[Symbol.dispose]()
      watched.linger = undefined
      watched.listeners++
      const listeners = watched.routes.get(route) ?? new Set()
      watched.routes.set(route, listeners.add(listener))
      if (watched.live) listener.onLive()
      return { [Symbol.dispose]: () => release(watched, route, listener) }
    },
    async [Symbol.asyncDispose]() {
      for (const watched of topics.values()) {
        watched.linger?.[Symbol.dispose]()
        end(watched)
      }
      await Promise.all(leaving)
    }
  }
}

async function join<T>(options: TopicWatchOptions<T>, watched: Watched<T>): Promise<GroupMember> {
  const { consumers, admin, instance, settings, decode, onFatal } = options
  const { topic, routes, positions } = watched
  // A topic that is made while it is watched is read from its beginning; one that is there, from its end.
  let isNew = await admin.listTopics().then(
    (existing) => !existing.includes(topic),
    () => false
  )
  const startsOf = async (assignment: readonly TopicPartition[]): Promise<ReadonlyMap<string, bigint>> => {
    if (assignment.some((partition) => !positions.has(partitionKey(partition)))) {
      for (const { partition, start, end } of await rangesOf(admin, topic, options)) {
        const key = partitionKey({ topic, partition })
        if (!positions.has(key)) positions.set(key, isNew ? start : end)
      }
      isNew = true
    }
    return positions
  }
  const isWatched = (route: string): boolean => routes.has(route)
  return await consumers.join(
    {
      groupId: `${instance}.${topic}`,
      topics: async () => [topic],
      fallback: 'latest',
      sessionTimeoutMs: settings.sessionTimeoutMs,
      heartbeatIntervalMs: settings.heartbeatIntervalMs,
      rebalanceTimeoutMs: settings.sessionTimeoutMs,
      topicRefreshMs: settings.topicRefreshMs,
      maxBytesPerPartition: 1024 ** 2,
      maxWaitMs: 250
    },
    {
      async onAssigned(assignment) {
        const starts = await startsOf(assignment)
        if (assignment.length === 0) return starts
        watched.live = true
        for (const listeners of routes.values()) for (const listener of listeners) listener.onLive()
        return starts
      },
      onRevoking: async () => {
        watched.live = false
      },
      async onBatch(batch) {
        positions.set(partitionKey(batch), batch.nextOffset)
        const found = new Map<string, T[]>()
        for (const record of batch.records) {
          const decoded = decode(record, isWatched)
          if (decoded === undefined || !routes.has(decoded.route)) continue
          const values = found.get(decoded.route)
          if (values === undefined) found.set(decoded.route, [decoded.value])
          else values.push(decoded.value)
        }
        for (const [route, values] of found) for (const listener of routes.get(route) ?? []) listener.onValues(values)
      },
      onOutOfRange: (partition, _requested, logStart) => void positions.set(partitionKey(partition), logStart),
      onFatal
    }
  )
}

/** The ends of a topic, asked until the cluster answers: without them it is not known what was missed. */
async function rangesOf<T>(
  admin: TopicWatchOptions<T>['admin'],
  topic: string,
  { clock, log, signal }: TopicWatchOptions<T>
): ReturnType<Admin['ranges']> {
  while (!signal.aborted) {
    try {
      return await admin.ranges(topic)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      // A topic that is gone again: the member itself looks for it, and begins at the end of what it finds.
      if (!isTransient(error)) {
        log.warn({ err: error, topic }, 'the end of a topic could not be read')
        return []
      }
      log.warn({ err: error, topic }, 'the end of a topic could not be read, trying again')
      await clock.sleep(1_000, signal).catch(() => undefined)
    }
  }
  return []
}
