// Publishing: requests that arrive while a produce is under way share the next one. At most one produce per topic is
// outstanding, so a retry inside the client can never overtake or swallow another event of the same partition.
import type { ProduceOutcome, ProduceRecord, Producer } from '@millrace/kafka'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'

/** An event ready for the log; `value` is what will be stored. */
export interface OutgoingEvent {
  readonly project: string
  readonly eventId: string
  readonly value: Buffer
  readonly headers?: Readonly<Record<string, string>>
  /** Partition key; the eventId when absent. */
  readonly key?: string
  /** Called when the log acknowledged the event after `publish` had already answered `unknown`. */
  readonly onLateAck?: () => void
}

/** Why an event was turned away; it is certainly not stored. Closed: it is a metric label. */
export type UnavailableReason = 'queue_full' | 'stalled' | 'not_stored' | 'no_topic' | 'stopping'

/**
 * `acked`: stored on all in-sync replicas. `refused`: never will be. `unavailable`: certainly not stored, but may be
 * later. `unknown`: may or may not be stored.
 */
export type PublishOutcome =
  | { readonly kind: 'acked' }
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'unavailable'; readonly reason: UnavailableReason }
  | { readonly kind: 'unknown' }

/** Appends events to the log. Disposing it turns new events away and waits for what is under way. */
export interface Publisher extends AsyncDisposable {
  /** Resolves with what became of the event; never rejects. */
  publish(event: OutgoingEvent): Promise<PublishOutcome>
  /** Bytes of events that wait or are under way. */
  queuedBytes(): number
}

export interface PublishLimits {
  /** Bytes of all topics that wait or are under way; above it events are turned away. */
  readonly maxQueuedBytes: number
  readonly maxBatchEvents: number
  /** Below the broker's max.message.bytes, since a partition's share of a batch is one record batch. */
  readonly maxBatchBytes: number
  /** A produce older than this means that Kafka does not answer: what waits behind it is turned away. */
  readonly stallAfterMs: number
  /** A produce older than this is answered `unknown` while the client keeps trying. */
  readonly answerAfterMs: number
  /** Longest wait of the disposal. */
  readonly drainMs: number
}

export interface PublisherDeps {
  readonly producer: Producer
  readonly topicOf: (project: string) => string
  readonly partitionFor: (eventId: string, partitions: number) => number
  readonly clock: Clock
  readonly limits: PublishLimits
  /** Told the number of events of each produce. */
  readonly onBatch?: (events: number) => void
}

interface Waiting {
  readonly event: OutgoingEvent
  readonly resolve: (outcome: PublishOutcome) => void
}

interface TopicQueue {
  submit(event: OutgoingEvent): Promise<PublishOutcome>
}

/** Bytes shared by the queues of all topics, and the produces under way. */
interface Shared {
  queuedBytes: number
  stopping: boolean
  readonly sends: Set<Promise<void>>
}

const acked: PublishOutcome = { kind: 'acked' }
const unknown: PublishOutcome = { kind: 'unknown' }

/** A publisher over `producer` with one queue per topic. */
export function createPublisher(deps: PublisherDeps): Publisher {
  const shared: Shared = { queuedBytes: 0, stopping: false, sends: new Set() }
  const queues = new Map<string, TopicQueue>()
  const queueOf = (project: string): TopicQueue => {
    const existing = queues.get(project)
    if (existing !== undefined) return existing
    const queue = createTopicQueue(deps.topicOf(project), deps, shared)
    queues.set(project, queue)
    return queue
  }
  return {
    publish: (event) => queueOf(event.project).submit(event),
    queuedBytes: () => shared.queuedBytes,
    [Symbol.asyncDispose]: async () => {
      shared.stopping = true
      // Events of this turn are not under way yet.
      await new Promise((resolve) => setImmediate(resolve))
      const giveUp = new AbortController()
      using _timer = deps.clock.timer(deps.limits.drainMs, () => giveUp.abort())
      const gaveUp = new Promise<void>((resolve) => giveUp.signal.addEventListener('abort', () => resolve()))
      // A finished send may have started the next one of its queue, hence the loop.
      while (shared.sends.size > 0 && !giveUp.signal.aborted) await Promise.race([...shared.sends, gaveUp])
    }
  }
}

/** States of a queue: idle -> scheduled (end of this turn) -> sending (-> stalled) -> sending the next | idle. */
function createTopicQueue(topic: string, deps: PublisherDeps, shared: Shared): TopicQueue {
  const { limits, clock } = deps
  let waiting: Waiting[] = []
  let state: 'idle' | 'scheduled' | 'sending' | 'stalled' = 'idle'

  const takeBatch = (): Waiting[] => {
    let bytes = 0
    let count = 0
    for (const { event } of waiting) {
      bytes += event.value.length
      if (count > 0 && (count >= limits.maxBatchEvents || bytes > limits.maxBatchBytes)) break
      count++
    }
    const batch = waiting.slice(0, count)
    waiting = waiting.slice(count)
    return batch
  }

  const turnAway = (): void => {
    state = 'stalled'
    for (const { event, resolve } of waiting) {
      shared.queuedBytes -= event.value.length
      resolve({ kind: 'unavailable', reason: 'stalled' })
    }
    waiting = []
  }

  const send = async (batch: readonly Waiting[]): Promise<void> => {
    let handedOver = false
    let answered: PublishOutcome | undefined
    const answer = (outcome: PublishOutcome): void => {
      answered ??= outcome
      for (const { resolve } of batch) resolve(outcome)
    }
    using _stall = clock.timer(limits.stallAfterMs, () => {
      turnAway()
      if (!handedOver) answer({ kind: 'unavailable', reason: 'stalled' })
    })
    using _deadline = clock.timer(limits.answerAfterMs, () => answer(unknown))
    const partitions = await partitionsOf(topic, deps.producer)
    // An event that was answered `unavailable` must not be stored after all.
    if (answered === undefined) {
      if (typeof partitions !== 'number') answer(partitions)
      else {
        handedOver = true
        const outcomes = await produceBatch(topic, partitions, batch, deps)
        for (const [index, { event, resolve }] of batch.entries()) {
          const outcome = outcomes[index] ?? unknown
          resolve(outcome)
          if (answered !== undefined && outcome.kind === 'acked') event.onLateAck?.()
        }
      }
    }
    for (const { event } of batch) shared.queuedBytes -= event.value.length
  }

  const flush = (): void => {
    state = 'sending'
    const sending = send(takeBatch()).then(() => {
      shared.sends.delete(sending)
      state = 'idle'
      if (waiting.length > 0) flush()
    })
    shared.sends.add(sending)
  }

  return {
    submit: (event) => {
      const size = event.value.length
      const reason = shared.stopping
        ? 'stopping'
        : state === 'stalled'
          ? 'stalled'
          : shared.queuedBytes + size > limits.maxQueuedBytes
            ? 'queue_full'
            : undefined
      if (reason !== undefined) return Promise.resolve({ kind: 'unavailable', reason })
      return new Promise((resolve) => {
        shared.queuedBytes += size
        waiting.push({ event, resolve })
        if (state !== 'idle') return
        state = 'scheduled'
        // The requests of one turn of the event loop share a produce even when nothing is under way.
        setImmediate(flush)
      })
    }
  }
}

/** The number of partitions, or the answer to events whose topic cannot be looked up. */
async function partitionsOf(topic: string, producer: Producer): Promise<number | PublishOutcome> {
  try {
    return await producer.partitionCount(topic)
  } catch (error) {
    const missing = error instanceof AppError && error.code === 'PIPE_TOPIC_MISSING'
    return { kind: 'unavailable', reason: missing ? 'no_topic' : 'not_stored' }
  }
}

async function produceBatch(
  topic: string,
  partitions: number,
  batch: readonly Waiting[],
  { producer, partitionFor, onBatch }: PublisherDeps
): Promise<readonly PublishOutcome[]> {
  const records = batch.map(({ event }): ProduceRecord => ({
    partition: partitionFor(event.key ?? event.eventId, partitions),
    key: event.key ?? event.eventId,
    value: event.value,
    ...(event.headers === undefined ? {} : { headers: event.headers })
  }))
  onBatch?.(batch.length)
  return (await produce(producer, topic, records)).map(toPublishOutcome)
}

/** The port promises not to throw; if it does, nothing is known about the records. */
async function produce(
  producer: Producer,
  topic: string,
  records: readonly ProduceRecord[]
): Promise<readonly ProduceOutcome[]> {
  try {
    return await producer.produce(topic, records)
  } catch (error) {
    return records.map(() => ({ kind: 'unknown', message: String(error) }))
  }
}

function toPublishOutcome(outcome: ProduceOutcome): PublishOutcome {
  switch (outcome.kind) {
    case 'acked':
      return acked
    case 'unknown':
      return outcome.notStored === true ? { kind: 'unavailable', reason: 'not_stored' } : unknown
    case 'refused':
      return { kind: 'refused', code: outcome.code }
  }
}
