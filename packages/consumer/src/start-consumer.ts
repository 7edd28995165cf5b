// The consumer runtime: joins a group and keeps batches moving until it is stopped or fails. Wiring of the loop to the
// group, the clock and the sink's own positions.
import { AppError, isTransient, retry } from '@millrace/kernel'
import type { GroupHandlers, GroupMember, TopicPartition } from '@millrace/kafka'
import type { Consumer, ConsumerDef, ConsumerDeps, ConsumerSettings } from './definition.ts'
import { Loop } from './loop.ts'
import { resolveSettings } from './settings.ts'
import type { Storm } from './storm-guard.ts'

/**
 * Joins the group of `def` and consumes in the background until disposed, or until `deps.signal` aborts. Waits for a
 * cluster that does not answer. Throws PIPE_CONFIG_INVALID for contradicting settings, and what joining throws
 * otherwise.
 */
export async function startConsumer<Item>(def: ConsumerDef<Item>, deps: ConsumerDeps): Promise<Consumer> {
  const settings = resolveSettings(def)
  const loop = new Loop(def, deps, settings)
  const intake = new AbortController()
  const stop = (): Promise<void> => {
    intake.abort(new Error(`${def.name} is stopping`))
    loop.post({ kind: 'stop' })
    return loop.stopped
  }
  if (deps.signal?.aborted === true) void stop()
  deps.signal?.addEventListener('abort', () => void stop(), { once: true })

  try {
    const member = await join({ def, deps, settings, loop, signal: intake.signal })
    if (intake.signal.aborted) await member.stop()
    else loop.post({ kind: 'attached', member })
  } catch (error) {
    await stop()
    if (deps.signal?.aborted !== true) throw error
  }
  return {
    ready: () => loop.ready(),
    live: () => loop.live(),
    rewind: (to) => loop.post({ kind: 'rewind', to }),
    stopped: () => loop.storm,
    resume: () => loop.post({ kind: 'resume' }),
    checks: lettersCheck(() => loop.storm),
    done: loop.done,
    [Symbol.asyncDispose]: stop
  }
}

/** The check that shows a stop in /health. */
export function lettersCheck(storm: () => Storm | undefined): Consumer['checks'] {
  const run = async (): Promise<void> => {
    if (storm() !== undefined) throw new AppError('PIPE_LETTER_STORM', 'stopped: too many dead letters')
  }
  return { letters: { critical: true, run } }
}

interface Wiring<Item> {
  readonly def: ConsumerDef<Item>
  readonly deps: ConsumerDeps
  readonly settings: ConsumerSettings
  readonly loop: Loop<Item>
  /** Aborts when the consumer stops. */
  readonly signal: AbortSignal
}

function join<Item>(wiring: Wiring<Item>): Promise<GroupMember> {
  const { def, deps, settings, loop, signal } = wiring
  const { sessionTimeoutMs, heartbeatIntervalMs, rebalanceTimeoutMs } = settings
  const { topicRefreshMs, maxBytesPerPartition, maxWaitMs } = settings
  const options = {
    groupId: def.group,
    topics: def.topics.list,
    fallback: def.fallback ?? 'earliest',
    sessionTimeoutMs,
    heartbeatIntervalMs,
    rebalanceTimeoutMs,
    topicRefreshMs,
    maxBytesPerPartition,
    maxWaitMs
  } as const
  const handlers: GroupHandlers = {
    async onAssigned(partitions) {
      loop.post({ kind: 'void' })
      const positions = await startPositions(wiring, partitions)
      loop.post({ kind: 'assigned', partitions, positions })
      return positions
    },
    onRevoking: () => new Promise((resolve) => loop.post({ kind: 'revoking', resolve })),
    async onBatch(batch) {
      loop.post({ kind: 'batch', batch })
    },
    onOutOfRange: (partition, requested, logStart) => loop.post({ kind: 'outOfRange', partition, requested, logStart }),
    onFatal: (error) => loop.post({ kind: 'failure', error })
  }
  return retry(() => deps.client.join(options, handlers), {
    policy: settings.backoff,
    clock: deps.clock,
    signal,
    attempts: Infinity,
    onRetry: (error, attempt, waitMs) => deps.log.warn({ attempt, waitMs, error: String(error) }, 'joining the group')
  })
}

/** The positions owned by the sink. Waits for a sink that does not answer; any other error fails the consumer. */
async function startPositions<Item>(
  { def, deps, settings, loop, signal }: Wiring<Item>,
  partitions: readonly TopicPartition[]
): Promise<ReadonlyMap<string, bigint>> {
  const { clock, log } = deps
  const { startAt } = def
  if (startAt === undefined) return new Map()
  try {
    return await retry(() => startAt(partitions), {
      policy: settings.backoff,
      clock,
      signal,
      attempts: Infinity,
      onRetry: (error, attempt, waitMs) =>
        log.warn({ attempt, waitMs, error: String(error) }, 'reading start positions')
    })
  } catch (error) {
    if (!signal.aborted && !isTransient(error)) loop.post({ kind: 'failure', error })
    return new Map()
  }
}
