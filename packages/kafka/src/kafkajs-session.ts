// One life of the library's consumer with a fixed topic list: from connect to a crash or to close. Its owner makes a new
// session when topics change or the cluster comes back; the library never restarts anything by itself.
// Order of an assignment: beforeJoin (drain) -> GROUP_JOIN (everything paused) -> onAssigned -> seek -> fetching.
import type { Batch, Cluster, Consumer, ConsumerGroupJoinEvent, EachBatchPayload, Kafka as KafkaJS } from 'kafkajs'
import { AppError, backoffMs, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import { within } from './bounded.ts'
import { createGroupEpoch } from './group-epoch.ts'
import type { GroupEpoch } from './group-epoch.ts'
import { createGroupOffsets } from './group-offsets.ts'
import type { GroupOffsets, LogView } from './group-offsets.ts'
import { createAssigner } from './kafkajs-assigner.ts'
import { classifyKafka } from './kafkajs-errors.ts'
import { partitionKey } from './port.ts'
import type { Commit, GroupHandlers, GroupOptions, TopicPartition } from './port.ts'
import { fetchedAt, nextOffset, toRecordBatch } from './record-batch.ts'
import type { Serial } from './serial.ts'
import { createWatchdog } from './watchdog.ts'

export interface SessionDeps {
  readonly client: KafkaJS
  readonly topics: readonly string[]
  readonly options: GroupOptions
  readonly handlers: GroupHandlers
  /** The member's queue of handler calls; outlives the session. */
  readonly calls: Serial
  readonly clock: Clock
  readonly log: Logger
}

export interface GroupSession {
  readonly topics: readonly string[]
  /** Resolves with the reason when the session ended by itself; the member is no longer in the group then. */
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
const readPolicy = { baseMs: 100, capMs: 2_000, jitter: 0.2 }

/** Starts a session; failures to connect or join arrive through `ended`. */
export function startSession(deps: SessionDeps): GroupSession {
  const { topics, options, handlers, calls, clock, log } = deps
  const { promise: ended, resolve: end } = Promise.withResolvers<Error>()
  const { promise: closing, resolve: startClosing } = Promise.withResolvers<void>()
  let closed = false
  let current: GroupEpoch | undefined
  let delivered: GroupEpoch | undefined
  let offsets: GroupOffsets | undefined
  const probed = new Map<string, bigint>()
  const watchdog = createWatchdog({
    clock,
    fetchLimitMs: 60_000,
    joinLimitMs: options.rebalanceTimeoutMs + options.sessionTimeoutMs,
    onSilence: (ms) =>
      end(new AppError('PIPE_KAFKA_FATAL', `the consumer of ${options.groupId} was silent for ${ms} ms`))
  })
  const fail = (error: unknown): void =>
    end(new AppError('PIPE_KAFKA_FATAL', 'a group handler failed', { cause: error }))

  const drain = async (): Promise<void> => {
    watchdog.joining()
    const epoch = current
    if (epoch === undefined || epoch.state() === 'over') return
    epoch.end()
    if (delivered !== epoch || closed) return
    const { promise: budget, resolve: stopWaiting } = Promise.withResolvers<void>()
    using _timer = clock.timer(Math.min(options.rebalanceTimeoutMs, options.sessionTimeoutMs) / 2, stopWaiting)
    const revoking = calls.run(() => (current === epoch && !closed ? handlers.onRevoking() : undefined))
    await Promise.race([revoking.catch(fail), budget, closing])
  }
  const consumer = createConsumer(deps, {
    onCluster: (cluster) => {
      offsets = createGroupOffsets({ cluster, groupId: options.groupId, clock })
    },
    beforeJoin: drain
  })

  const begin = ({ payload }: ConsumerGroupJoinEvent): void => {
    if (closed) return
    watchdog.fetching()
    const epoch = createGroupEpoch(toIdentity(payload))
    current = epoch
    probed.clear()
    for (const { topic, partition } of epoch.assignment) consumer.pause([{ topic, partitions: [partition] }])
    const { memberId, generationId, assignment } = epoch
    log.info({ group: options.groupId, memberId, generationId, partitions: assignment.length }, 'joined the group')
    activate(epoch).catch(fail)
  }
  const activate = async (epoch: GroupEpoch): Promise<void> => {
    const [views, starts] = await Promise.all([
      readViews(epoch, epoch.assignment),
      calls.run(() => {
        if (current !== epoch || closed) return undefined
        delivered = epoch
        return handlers.onAssigned(epoch.assignment)
      })
    ])
    if (current !== epoch || closed || epoch.state() !== 'starting' || views === undefined || starts === undefined)
      return
    const positions = new Map<string, bigint>()
    for (const partition of epoch.assignment) {
      const view = views.get(partitionKey(partition))
      if (view === undefined) continue
      const wanted = epoch.position(partition) ?? starts.get(partitionKey(partition)) ?? startOf(view, options)
      if (wanted < view.start) reportOutOfRange(epoch, partition, wanted, view.start)
      positions.set(partitionKey(partition), wanted < view.start ? view.start : wanted)
    }
    epoch.start(positions)
    for (const partition of epoch.assignment) {
      const { topic, partition: id } = partition
      consumer.seek({ topic, partition: id, offset: String(positions.get(partitionKey(partition)) ?? 0n) })
      if (!epoch.isPaused(partition)) consumer.resume([{ topic, partitions: [id] }])
    }
  }
  /** Tries until it succeeds or the epoch is over; undefined then. */
  const readViews = async (
    epoch: GroupEpoch,
    partitions: readonly TopicPartition[]
  ): Promise<ReadonlyMap<string, LogView> | undefined> => {
    for (let attempt = 1; current === epoch && !closed; attempt++) {
      try {
        return await offsets?.read(partitions)
      } catch (error) {
        const { kind, code } = classifyKafka(error)
        if (kind === 'fatal' && !(error instanceof AppError)) throw error
        log.debug({ group: options.groupId, code }, 'reading offsets failed, trying again')
        await clock.sleep(backoffMs(readPolicy, attempt))
      }
    }
    return undefined
  }
  const reportOutOfRange = (epoch: GroupEpoch, partition: TopicPartition, asked: bigint, logStart: bigint): void => {
    log.warn({ ...partition, requested: String(asked), logStart: String(logStart) }, 'position is out of the log')
    const report = () => (current === epoch ? handlers.onOutOfRange(partition, asked, logStart) : undefined)
    calls.run(report).catch(fail)
  }
  const moveTo = (epoch: GroupEpoch, partition: TopicPartition, offset: bigint): void => {
    epoch.move(partition, offset)
    consumer.seek({ topic: partition.topic, partition: partition.partition, offset: String(offset) })
  }
  /**
   * A batch came from another position than ours: an old one in flight, a jump of the library after OFFSET_OUT_OF_RANGE,
   * or records that readers never see. The log's range tells them apart; when in doubt the position is fetched again.
   */
  const reconcile = async (epoch: GroupEpoch, partition: TopicPartition, fetched: bigint): Promise<void> => {
    const view = (await readViews(epoch, [partition]))?.get(partitionKey(partition))
    const expected = epoch.position(partition)
    if (view === undefined || expected === undefined || current !== epoch || epoch.state() !== 'active') return
    if (expected === fetched) return
    if (expected < view.start || expected > view.end) {
      reportOutOfRange(epoch, partition, expected, view.start)
      moveTo(epoch, partition, view.start)
    } else if (fetched > expected && probed.get(partitionKey(partition)) === expected) {
      moveTo(epoch, partition, fetched)
    } else {
      probed.set(partitionKey(partition), expected)
      moveTo(epoch, partition, expected)
    }
  }
  const eachBatch = async ({ batch, resolveOffset, isStale, isRunning }: EachBatchPayload): Promise<void> => {
    const epoch = current
    const partition = { topic: batch.topic, partition: batch.partition }
    if (epoch === undefined || epoch.state() !== 'active' || !isRunning() || isStale() || epoch.isPaused(partition))
      return
    if (!epoch.take(partition, fetchedAt(batch), nextOffset(batch))) {
      await reconcile(epoch, partition, fetchedAt(batch)).catch(fail)
      return
    }
    resolveOffset(batch.lastOffset())
    const taken = calls.run(() => hand(epoch, batch))
    await Promise.race([taken.catch(fail), closing])
  }
  const hand = async (epoch: GroupEpoch, batch: Batch): Promise<void> => {
    if (current === epoch && epoch.state() === 'active') await handlers.onBatch(toRecordBatch(batch))
  }

  consumer.on(consumer.events.GROUP_JOIN, begin)
  consumer.on(consumer.events.CRASH, ({ payload }) => end(payload.error))
  for (const event of [consumer.events.FETCH_START, consumer.events.FETCH, consumer.events.HEARTBEAT] as const) {
    consumer.on(event, () => watchdog.touch())
  }
  const run = async (): Promise<void> => {
    await consumer.connect()
    await consumer.subscribe({ topics: [...topics], fromBeginning: true })
    if (closed) return
    await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, partitionsConsumedConcurrently: 1, eachBatch })
  }
  const running = run().catch((error: unknown) => end(toError(error)))
  void ended.then(() => {
    current?.end()
    watchdog[Symbol.dispose]()
  })

  /** The epoch that the handlers know, if it is still the one that the group knows. */
  const known = (): GroupEpoch | undefined => (delivered !== undefined && delivered === current ? delivered : undefined)
  const setPaused = (partitions: readonly TopicPartition[], paused: boolean): void => {
    const epoch = known()
    if (epoch === undefined || closed) return
    for (const partition of partitions) {
      if (!epoch.holds(partition)) continue
      epoch.setPaused(partition, paused)
      if (epoch.state() !== 'active') continue
      const one = [{ topic: partition.topic, partitions: [partition.partition] }]
      if (paused) consumer.pause(one)
      else consumer.resume(one)
    }
  }
  return {
    topics,
    ended,
    pause: (partitions) => setPaused(partitions, true),
    resume: (partitions) => setPaused(partitions, false),
    seek(partition, offset) {
      const epoch = known()
      if (epoch === undefined || closed || !epoch.holds(partition)) return
      if (epoch.state() === 'active') moveTo(epoch, partition, offset)
      else epoch.move(partition, offset)
    },
    async commit(commits) {
      const epoch = delivered
      if (epoch === undefined || closed || offsets === undefined) return 'fenced'
      if (!commits.every((commit) => epoch.holds(commit))) return 'fenced'
      return commits.length === 0 ? 'committed' : await offsets.commit(epoch, commits)
    },
    drain,
    async close() {
      closed = true
      current?.end()
      current = undefined
      startClosing()
      watchdog[Symbol.dispose]()
      await closeConsumer(consumer, running, clock, log)
    }
  }
}

interface ConsumerHooks {
  readonly onCluster: (cluster: Cluster) => void
  readonly beforeJoin: () => Promise<void>
}

function createConsumer({ client, options }: SessionDeps, hooks: ConsumerHooks): Consumer {
  return client.consumer({
    groupId: options.groupId,
    partitionAssigners: [createAssigner(hooks)],
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
}

type JoinPayload = ConsumerGroupJoinEvent['payload']

function toIdentity(payload: JoinPayload): {
  memberId: string
  generationId: number
  assignment: readonly TopicPartition[]
} {
  // Our kafkajs patch adds the generation to the event.
  const { memberId, generationId } = payload as JoinPayload & { readonly generationId: number }
  const assignment = Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) =>
    partitions.map((partition) => ({ topic, partition }))
  )
  return { memberId, generationId, assignment }
}

function startOf({ committed, start, end }: LogView, { fallback }: GroupOptions): bigint {
  if (committed !== undefined) return committed
  return fallback === 'earliest' ? start : end
}

/** Leaving is bounded: a coordinator that does not answer expires the member by itself. */
async function closeConsumer(consumer: Consumer, running: Promise<void>, clock: Clock, log: Logger): Promise<void> {
  const leave = async (): Promise<void> => {
    await consumer.disconnect()
    // A start that was under way when the first disconnect came finds itself running afterwards.
    await running
    await consumer.disconnect()
  }
  const left = leave().catch((error: unknown) => log.debug({ err: error }, 'leaving the group failed'))
  if (
    (await within(
      left.then(() => true),
      closeTimeoutMs,
      clock
    )) === undefined
  ) {
    log.warn('leaving the group took too long; the broker expires the member by itself')
  }
}
