// One life of the library's consumer with a fixed topic list: from connect to a crash or to close. Its owner makes a new
// session when topics change or the cluster comes back; the library never restarts anything by itself.
// Order of an assignment: beforeJoin (drain) -> GROUP_JOIN (everything paused) -> onAssigned -> seek -> fetching.
import type { Cluster, Consumer, ConsumerGroupJoinEvent, Kafka as KafkaJS } from 'kafkajs'
import { AppError, toError } from '@millrace/kernel'
import { within } from './bounded.ts'
import type { EpochIdentity } from './group-epoch.ts'
import { createGroupOffsets } from './group-offsets.ts'
import { createAssigner } from './kafkajs-assigner.ts'
import type { AssignerHooks } from './kafkajs-assigner.ts'
import type { Commit, TopicPartition } from './port.ts'
import { moveTo } from './session-context.ts'
import type { SessionContext, SessionState } from './session-context.ts'
import { createIntake } from './session-intake.ts'
import { beginEpoch } from './session-start.ts'
import { createWatchdog } from './watchdog.ts'
import type { Watchdog } from './watchdog.ts'

export interface SessionDeps extends Pick<SessionContext, 'options' | 'handlers' | 'calls' | 'clock' | 'log'> {
  readonly client: KafkaJS
  readonly topics: readonly string[]
  /** Ids of earlier sessions of this member that may not have left; they leave before this one joins. */
  readonly ghosts: Set<string>
}

export interface GroupSession {
  /** Resolves with the reason when the session ended by itself. */
  readonly ended: Promise<Error>
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  seek(partition: TopicPartition, offset: bigint): void
  commit(commits: readonly Commit[]): Promise<'committed' | 'fenced'>
  /** Lets the handlers finish and commit what they hold, bounded; no batch is handed over afterwards. */
  drain(): Promise<void>
  /** Leaves the group and disconnects, bounded. */
  close(): Promise<void>
}

const closeTimeoutMs = 10_000
const fetchLimitMs = 60_000

/** Starts a session; failures to connect or join arrive through `ended`. */
export function startSession(deps: SessionDeps): GroupSession {
  const { options, clock, log, topics, ghosts } = deps
  const { promise: ended, resolve: end } = Promise.withResolvers<Error>()
  const { promise: closing, resolve: startClosing } = Promise.withResolvers<void>()
  const fail = (error: unknown): void => end(fatal(`a handler of group ${options.groupId} failed`, error))
  const watchdog = createWatchdog({
    clock,
    fetchLimitMs,
    joinLimitMs: options.rebalanceTimeoutMs + options.sessionTimeoutMs,
    onSilence: (ms) => end(fatal(`the consumer of ${options.groupId} was silent for ${ms} ms`))
  })
  const state: SessionState = { current: undefined, delivered: undefined, closed: false }
  const { consumer, cluster } = createConsumer(deps, { beforeJoin: () => drain() })
  const offsets = createGroupOffsets({ cluster, groupId: options.groupId, clock })
  const context: SessionContext = { ...deps, fetcher: consumer, offsets, state, fail }
  const drain = (): Promise<void> => drainEpoch(context, watchdog, closing)

  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    watchdog.fetching()
    const identity = toIdentity(payload)
    ghosts.add(identity.memberId)
    const { memberId, generationId, assignment } = identity
    log.info({ group: options.groupId, memberId, generationId, partitions: assignment.length }, 'joined the group')
    beginEpoch(context, identity)
  })
  consumer.on(consumer.events.CRASH, ({ payload }) => end(payload.error))
  for (const event of [consumer.events.FETCH_START, consumer.events.FETCH, consumer.events.HEARTBEAT] as const) {
    consumer.on(event, () => watchdog.touch())
  }
  let joining = false
  const run = async (): Promise<void> => {
    await consumer.connect()
    for (const memberId of ghosts) await offsets.leave(memberId)
    ghosts.clear()
    await consumer.subscribe({ topics: [...topics], fromBeginning: true })
    if (state.closed) return
    const eachBatch = createIntake(context, closing)
    joining = true
    await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, partitionsConsumedConcurrently: 1, eachBatch })
    joining = false
  }
  const running = run().catch((error: unknown) => end(toError(error)))
  void ended.then(() => {
    state.current?.end()
    watchdog[Symbol.dispose]()
  })
  return {
    ended,
    drain,
    ...controls(context),
    async close() {
      state.closed = true
      state.current?.end()
      state.current = undefined
      startClosing()
      watchdog[Symbol.dispose]()
      if ((await within(leave(consumer, running, joining), closeTimeoutMs, clock)) !== true) {
        log.warn({ group: options.groupId }, 'leaving the group failed or took too long; the broker expires the member')
      }
    }
  }
}

/** Pause, resume, seek and commit of the epoch that the handlers know, if it is still the one that the group knows. */
function controls(context: SessionContext): Pick<GroupSession, 'pause' | 'resume' | 'seek' | 'commit'> {
  const { state, fetcher, offsets } = context
  const known = () => (state.delivered !== undefined && state.delivered === state.current ? state.current : undefined)
  const setPaused = (partitions: readonly TopicPartition[], paused: boolean): void => {
    const epoch = known()
    for (const partition of partitions) {
      if (epoch === undefined || !epoch.holds(partition)) continue
      epoch.setPaused(partition, paused)
      if (epoch.state() !== 'active') continue
      const one = [{ topic: partition.topic, partitions: [partition.partition] }]
      if (paused) fetcher.pause(one)
      else fetcher.resume(one)
    }
  }
  return {
    pause: (partitions) => setPaused(partitions, true),
    resume: (partitions) => setPaused(partitions, false),
    seek(partition, offset) {
      const epoch = known()
      if (epoch === undefined || !epoch.holds(partition)) return
      if (epoch.state() === 'active') moveTo(context, epoch, partition, offset)
      else epoch.move(partition, offset)
    },
    async commit(commits) {
      const epoch = state.delivered
      if (epoch === undefined || state.closed) return 'fenced'
      if (!commits.every((commit) => epoch.holds(commit))) return 'fenced'
      return commits.length === 0 ? 'committed' : await offsets.commit(epoch, commits)
    }
  }
}

/** Ends the current epoch and waits for the handlers to let go of it, at most half of what the group would wait. */
async function drainEpoch(context: SessionContext, watchdog: Watchdog, closing: Promise<void>): Promise<void> {
  const { state, options, handlers, calls, clock, fail } = context
  watchdog.joining()
  const epoch = state.current
  if (epoch === undefined || epoch.state() === 'over') return
  epoch.end()
  if (state.delivered !== epoch || state.closed) return
  const revoking = calls.run(() => (state.current === epoch && !state.closed ? handlers.onRevoking() : undefined))
  const budgetMs = Math.min(options.rebalanceTimeoutMs, options.sessionTimeoutMs) / 2
  await within(Promise.race([revoking.catch(fail), closing]), budgetMs, clock)
}

interface OpenConsumer {
  readonly consumer: Consumer
  readonly cluster: Cluster
}

function createConsumer({ client, options }: SessionDeps, hooks: Omit<AssignerHooks, 'onCluster'>): OpenConsumer {
  const found: { cluster?: Cluster } = {}
  const onCluster = (cluster: Cluster): void => {
    found.cluster = cluster
  }
  const consumer = client.consumer({
    groupId: options.groupId,
    partitionAssigners: [createAssigner({ ...hooks, onCluster })],
    allowAutoTopicCreation: false,
    metadataMaxAge: 10_000,
    sessionTimeout: options.sessionTimeoutMs,
    heartbeatInterval: options.heartbeatIntervalMs,
    rebalanceTimeout: options.rebalanceTimeoutMs,
    maxBytesPerPartition: options.maxBytesPerPartition,
    maxBytes: Math.max(4 * 1024 ** 2, options.maxBytesPerPartition),
    maxWaitTimeInMs: options.maxWaitMs,
    retry: { retries: 8, initialRetryTime: 100, maxRetryTime: 2_000, restartOnFailure: async () => false }
  })
  if (found.cluster === undefined) throw fatal('the client made no assigner')
  return { consumer, cluster: found.cluster }
}

type JoinPayload = ConsumerGroupJoinEvent['payload']

function toIdentity(payload: JoinPayload): EpochIdentity {
  // Our kafkajs patch adds the generation to the event.
  const { memberId, generationId } = payload as JoinPayload & { readonly generationId: number }
  const assignment = Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) =>
    partitions.map((partition) => ({ topic, partition }))
  )
  return { memberId, generationId, assignment }
}

/**
 * True when the consumer left and disconnected. One that is told to end while it joins is forgotten by the library and
 * joins all the same: a member that nobody owns would hold its partitions for as long as the process lives. So the join is
 * waited for; whoever waits no longer finds it leaving behind him.
 */
async function leave(consumer: Consumer, running: Promise<void>, joining: boolean): Promise<boolean> {
  try {
    if (!joining) await consumer.disconnect()
    // A start that was under way when the first disconnect came finds itself connected afterwards.
    await running
    await consumer.disconnect()
    return true
  } catch {
    return false
  }
}

function fatal(message: string, cause?: unknown): AppError {
  return new AppError('PIPE_KAFKA_FATAL', message, cause === undefined ? {} : { cause })
}
