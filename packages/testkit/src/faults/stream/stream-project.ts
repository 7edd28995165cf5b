// A project of a case of the stream: its raw topic, written directly and without a gateway, with append times of the
// case's choice where it needs a past.
import { rawTopic } from '@millrace/contracts'
import { assertAcked, partitionFor } from '@millrace/kafka'
import type { Admin, Producer } from '@millrace/kafka'
import type { Copy } from './make-events.ts'

export interface StreamProject {
  readonly projectId: string
  readonly topic: string
  /** Appends, in the order of append times where they are written, else in the order given. */
  write(copies: readonly Copy[]): Promise<void>
}

export interface StreamTopic {
  readonly partitions: number
  /** Append times are those of the copies (CreateTime), not the broker's. */
  readonly written?: boolean
}

const perCall = 500

/** Brings the raw topic of `projectId`, which exists, into shape. */
export async function openStreamProject(
  { admin, producer }: { readonly admin: Admin; readonly producer: Producer },
  projectId: string,
  { partitions, written = false }: StreamTopic
): Promise<StreamProject> {
  const topic = rawTopic(projectId)
  const [held] = await admin.describeTopics([topic])
  if (held !== undefined && held.partitions < partitions) await admin.growPartitions(topic, partitions)
  if (written) await admin.alterTopicConfig(topic, { 'message.timestamp.type': 'CreateTime' })
  return {
    projectId,
    topic,
    async write(copies) {
      const count = (await admin.ranges(topic)).length
      const ordered = written ? copies.toSorted((a, b) => a.appendedAtMs - b.appendedAtMs) : copies
      for (let first = 0; first < ordered.length; first += perCall) {
        const records = ordered
          .slice(first, first + perCall)
          .map(({ eventId, value, appendedAtMs, partition = partitionFor(eventId, count) }) => ({
            partition,
            key: eventId,
            value,
            ...(written ? { timestampMs: appendedAtMs } : {})
          }))
        assertAcked(await producer.produce(topic, records), topic)
      }
    }
  }
}
