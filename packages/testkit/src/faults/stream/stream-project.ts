// A project of a case of the stream: its raw topic, written directly and without a gateway, with append times of the
// case's choice where it needs a past.
import { rawTopic, topicSettings } from '@millrace/contracts'
import { assertAcked, partitionFor } from '@millrace/kafka'
import type { Admin, ProduceRecord, Producer } from '@millrace/kafka'
import { declarationFor, loadTopicDeclaration } from '@millrace/operations/topics'
import type { Postgres } from '@millrace/stores/postgres'
import { eventually } from '../../eventually.ts'
import { uniqueProject } from '../../unique.ts'
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
const attempts = 5

export interface StreamStores {
  readonly admin: Admin
  readonly producer: Producer
  readonly postgres: Pick<Postgres, 'query'>
}

/** Makes projects with a raw topic each and nothing else: no keys, no other topics. */
export async function createStreamProjects(
  { admin, producer, postgres }: StreamStores,
  count: number,
  topic: StreamTopic
): Promise<readonly StreamProject[]> {
  const ids = Array.from({ length: count }, () => uniqueProject('stream'))
  const declaration = declarationFor(await loadTopicDeclaration(), await admin.brokerCount())
  const settings = topicSettings(declaration, 'local', 'raw')
  const times: Readonly<Record<string, string>> =
    topic.written === true ? { 'message.timestamp.type': 'CreateTime' } : {}
  const config = { ...settings.config, ...times }
  await admin.createTopics(
    ids.map((id) => ({ ...settings, topic: rawTopic(id), partitions: topic.partitions, config }))
  )
  const served = (id: string) => admin.ranges(rawTopic(id)).then(() => true)
  await Promise.all(ids.map((id) => eventually(`${rawTopic(id)} is served`, () => served(id))))
  await postgres.query('INSERT INTO projects (id, name) SELECT id, id FROM unnest($1::text[]) AS made (id)', [ids])
  return ids.map((id) => openStreamProject({ admin, producer }, id, topic.written === true))
}

function openStreamProject(
  { admin, producer }: Pick<StreamStores, 'admin' | 'producer'>,
  projectId: string,
  written: boolean
): StreamProject {
  const topic = rawTopic(projectId)
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
        await store(producer, topic, records)
      }
    }
  }
}

/** A record whose fate is not known is written again: a copy more is no harm, the recount reads what is there. */
async function store(producer: Producer, topic: string, records: readonly ProduceRecord[]): Promise<void> {
  let left = records
  for (let attempt = 1; left.length > 0; attempt++) {
    const outcomes = await producer.produce(topic, left)
    if (attempt === attempts) assertAcked(outcomes, topic)
    left = left.filter((_, index) => outcomes[index]?.kind !== 'acked')
  }
}
