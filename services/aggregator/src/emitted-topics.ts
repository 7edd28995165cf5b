// The topics of metrics and sessions, made by whoever writes to them first.
import { parseTopic, topicSettings } from '@millrace/contracts'
import type { EmittedRecord, TopicDeclaration, TopicProfile } from '@millrace/contracts'
import type { Admin, ProduceOutcome, Producer } from '@millrace/kafka'
import { partitionFor } from '@millrace/kafka'
import { AppError } from '@millrace/kernel'
import { declarationFor } from '@millrace/operations/topics'

export interface EmittedTopics {
  /** Makes the topic unless it is there. Throws PIPE_KAFKA_UNAVAILABLE. */
  ensure(topic: string): Promise<void>
  /** Produces keyed records, the topic made before. One outcome each. Throws PIPE_KAFKA_UNAVAILABLE. */
  produce(topic: string, records: readonly EmittedRecord[]): Promise<readonly ProduceOutcome[]>
}

/** Topics as they are declared under `profile`. */
export function createEmittedTopics(deps: {
  readonly admin: Pick<Admin, 'brokerCount' | 'createTopics'>
  readonly producer: Pick<Producer, 'produce' | 'partitionCount'>
  readonly declaration: TopicDeclaration
  readonly profile: TopicProfile
}): EmittedTopics {
  const { admin, producer, declaration, profile } = deps
  const made = new Set<string>()
  const ensure = async (topic: string): Promise<void> => {
    if (made.has(topic)) return
    const family = parseTopic(topic)?.family
    if (family !== 'metrics' && family !== 'sessions') throw new Error(`${topic} is no topic of emitted values`)
    const fitting = declarationFor(declaration, await admin.brokerCount())
    await admin.createTopics([{ topic, ...topicSettings(fitting, profile, family) }])
    made.add(topic)
  }
  return {
    ensure,
    async produce(topic, records) {
      await ensure(topic)
      const count = await producer.partitionCount(topic).catch((error: unknown) => {
        // Deleted while this process runs: the next try makes it anew.
        if (error instanceof AppError && error.code === 'PIPE_TOPIC_MISSING') made.delete(topic)
        throw error
      })
      return await producer.produce(
        topic,
        records.map(({ key, value }) => ({ partition: partitionFor(key, count), key, value }))
      )
    }
  }
}
