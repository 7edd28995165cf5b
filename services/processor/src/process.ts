// One batch -> the processed topics, acknowledged by all in-sync replicas before its outcomes are told. A batch whose
// fate is in doubt is produced again: consumers of the processed topic see an event at least once.
import { AppError, dead, done } from '@millrace/kernel'
import type { Outcome } from '@millrace/kernel'
import type { ProduceOutcome, Producer } from '@millrace/kafka'
import type { BoundMetrics } from '@millrace/observability'
import type { processorMetrics } from './metrics.ts'
import type { ProcessedRecord } from './to-processed.ts'

export interface ProcessDeps {
  readonly producer: Pick<Producer, 'produce'>
  readonly metrics: BoundMetrics<typeof processorMetrics>
  readonly faults: { at(label: string): void | Promise<void> }
}

/** Refusals that blame the record alone. Every other one blames the topic or our rights, and is waited out. */
const blamesRecord: Readonly<Record<string, 'size' | 'constraint'>> = {
  MESSAGE_TOO_LARGE: 'size',
  RECORD_LIST_TOO_LARGE: 'size',
  INVALID_RECORD: 'constraint',
  INVALID_TIMESTAMP: 'constraint'
}

/**
 * The handler of a batch: one outcome per item, in order. Throws PIPE_KAFKA_UNKNOWN_OUTCOME when an item may not be
 * stored, and PIPE_PROCESSED_TOPIC naming the topic when it lacks the partition or refuses everybody.
 */
export function createProcess({ producer, metrics, faults }: ProcessDeps) {
  return async function process({
    items
  }: {
    readonly items: readonly ProcessedRecord[]
  }): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = []
    for (const [topic, indexes] of byTopic(items)) {
      const records = indexes.flatMap((index) => items[index] ?? [])
      await faults.at('processor.before-produce')
      const answers = await producer.produce(topic, records)
      await faults.at('processor.after-produce')
      answers.forEach((answer, position) => {
        const index = indexes[position]
        if (index !== undefined) outcomes[index] = toOutcome(topic, answer)
      })
      count(records, outcomes, indexes)
    }
    return outcomes
  }

  function count(records: readonly ProcessedRecord[], outcomes: readonly Outcome[], indexes: readonly number[]): void {
    const refused = indexes.flatMap((index) => (outcomes[index]?.kind === 'dead' ? outcomes[index] : []))
    for (const { reason } of refused) metrics.refused.add(1, { reason })
    metrics.produced.add(records.length - refused.length)
    metrics.producedBytes.add(records.reduce((sum, { value }) => sum + value.byteLength, 0))
  }
}

/** Indexes of the items of each topic; one topic per batch, except for redriven letters of several projects. */
function byTopic(items: readonly ProcessedRecord[]): ReadonlyMap<string, readonly number[]> {
  const topics = new Map<string, number[]>()
  items.forEach(({ topic }, index) => {
    const indexes = topics.get(topic)
    if (indexes === undefined) topics.set(topic, [index])
    else indexes.push(index)
  })
  return topics
}

function toOutcome(topic: string, answer: ProduceOutcome): Outcome {
  if (answer.kind === 'acked') return done
  if (answer.kind === 'unknown') {
    throw new AppError('PIPE_KAFKA_UNKNOWN_OUTCOME', `producing to ${topic}: ${answer.message}`)
  }
  const reason = Object.hasOwn(blamesRecord, answer.code) ? blamesRecord[answer.code] : undefined
  if (reason !== undefined) {
    return dead(reason, new AppError('PIPE_KAFKA_REFUSED', `producing to ${topic}: ${answer.message}`))
  }
  throw new AppError('PIPE_PROCESSED_TOPIC', `producing to ${topic}: ${answer.message}; \`millrace topics ensure\``, {
    details: { topic, kafka: answer.code }
  })
}
