// Reads the log into an epoch that is being built: a consumer group of its own, positions from Redis alone. What it can
// not apply ends the build, not the log: nothing is set aside.
import { createBatchApplier } from '@millrace/aggregation/apply-batch'
import type { Applied, BatchReply } from '@millrace/aggregation/apply-batch'
import { createToEntry, toFoldRange } from '@millrace/aggregation/entry'
import type { Entry } from '@millrace/aggregation/entry'
import type { FoldOptions } from '@millrace/aggregation/fold'
import type { RedisApply } from '@millrace/aggregation/redis-apply'
import type { RedisEpochs } from '@millrace/aggregation/redis-epochs'
import { fixedTopics, rewind, startConsumer } from '@millrace/consumer'
import type { Batch, ConsumerSettings, Rewind } from '@millrace/consumer'
import { createEnrich, letterTopic, rawTopic } from '@millrace/contracts'
import type { Enrich } from '@millrace/contracts'
import { partitionKey } from '@millrace/kafka'
import type { ConsumerClient, Producer, TopicPartition } from '@millrace/kafka'
import { AppError, done, skip } from '@millrace/kernel'
import type { Clock, Outcome } from '@millrace/kernel'
import { createRegistry } from '@millrace/observability'
import type { Logger } from '@millrace/observability'

export interface FillDeps {
  readonly client: ConsumerClient
  /** Never used: no record of a build becomes a letter. */
  readonly producer: Pick<Producer, 'produce' | 'partitionCount'>
  readonly epochs: Pick<RedisEpochs, 'look'>
  readonly apply: RedisApply
  readonly callId: () => string
  /** The one that the aggregator uses: the countries of addresses come from its settings. */
  readonly enrich?: Enrich
  /** What to count. Throws a transient error while that is not known. */
  readonly optionsOf: (project: string) => FoldOptions
  readonly clock: Clock
  readonly log: Logger
  readonly onApplied?: (applied: Applied) => void
  readonly settings?: Partial<ConsumerSettings>
}

/** A build under way. Disposing it stops reading and leaves the epoch as it is. */
export interface Fill extends AsyncDisposable {
  /** Rejects when it cannot go on: the epoch was given up or is torn, or the reader failed. Never resolves. */
  readonly failed: Promise<never>
}

/** The consumer group that fills an epoch. */
export function fillGroup(project: string, epoch: number): string {
  return `aggregate-rebuild-${project}-${epoch}`
}

/** Begins to fill `epoch` from its positions. Throws what joining the group throws. */
export async function startFill(deps: FillDeps, project: string, epoch: number): Promise<Fill> {
  const { client, producer, apply, callId, optionsOf, enrich = createEnrich(), clock, log, onApplied, settings } = deps
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined)
  const applier = createBatchApplier({ apply, callId, ...(onApplied === undefined ? {} : { onApplied }) })
  const handle = async ({ items, ranges }: Batch<Entry>): Promise<readonly Outcome[] | Rewind> => {
    const [range] = ranges
    if (range === undefined || items.length === 0) return []
    const events = items.flatMap(({ item }) => item ?? [])
    const reply = await applier.apply(project, toFoldRange(epoch, range, items), events, optionsOf(project))
    if (reply.kind === 'ok') return items.map(({ item }) => (item === undefined ? skip('invalid') : done))
    if (reply.kind === 'gap') {
      const { topic, partition } = range
      return rewind([{ topic, partition, offset: reply.position }])
    }
    const error = refusalOf(project, epoch, reply)
    if (reply.kind !== 'sealed') failed.reject(error)
    throw error
  }
  const consumer = await startConsumer(
    {
      name: 'rebuild',
      group: fillGroup(project, epoch),
      topics: fixedTopics([rawTopic(project)]),
      policy: { maxRows: 5_000, maxBytes: 8 * 1024 ** 2, maxAgeMs: 50, behindAgeMs: 500, scope: 'lane' },
      startAt: async (assigned) => {
        applier.forget()
        return await positionsOf(deps, project, epoch, assigned)
      },
      decode: createToEntry(enrich),
      handle,
      // A bug ends the build: a live state that lacks records is no state.
      settings: { backoff: { baseMs: 100, capMs: 5_000, jitter: 0.3 }, isolateBugs: false, ...settings }
    },
    {
      client,
      letters: { producer, topicFor: letterTopic, appVersion: 'rebuild' },
      log,
      registry: createRegistry(),
      clock
    }
  )
  consumer.done.catch(failed.reject)
  return { failed: failed.promise, [Symbol.asyncDispose]: () => consumer[Symbol.asyncDispose]() }
}

async function positionsOf(
  { epochs }: FillDeps,
  project: string,
  epoch: number,
  assigned: readonly TopicPartition[]
): Promise<ReadonlyMap<string, bigint>> {
  const held = (await epochs.look(project)).epochs.get(epoch)
  // A build that was given up meanwhile: the first apply will say so.
  return new Map(assigned.map((each) => [partitionKey(each), held?.partitions[each.partition]?.position ?? 0n]))
}

function refusalOf(project: string, epoch: number, reply: Exclude<BatchReply, { kind: 'ok' | 'gap' }>): AppError {
  const why = {
    epoch: 'it is not being built any more',
    sealed: 'it is sealed',
    broken: 'a write of it did not end; give it up and build another one',
    'wrong-type': 'a key of it holds what it must not; give it up and build another one'
  }[reply.kind]
  return new AppError('PIPE_LIVE_STATE', `epoch ${epoch} of ${project} takes nothing: ${why}`)
}
