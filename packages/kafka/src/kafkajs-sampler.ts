// Samples of many partitions through the library. Its admin client asks topic by topic; these requests carry all topics of
// a broker, all partitions of a group, so that a thousand partitions cost a handful of requests.
import type { Broker, Cluster, Kafka as KafkaJS } from 'kafkajs'
import type { Clock } from '@millrace/kernel'
import { within } from './bounded.ts'
import { openCluster } from './kafkajs-cluster.ts'
import { classifyKafka, toAppError } from './kafkajs-errors.ts'
import { partitionKey } from './port.ts'
import type { Commit, LogSampler, PartitionHead, TopicPartition } from './port.ts'
import { holdersIn } from './topic-holders.ts'
import type { DescribedGroup } from './topic-holders.ts'
import { guardNull } from './topic-leaders.ts'

const latest = '-1'
const earliest = '-2'

/** Requests and replies of the library that its types leave out. */
interface SampledBroker extends Broker {
  listOffsets(request: {
    isolationLevel: number
    topics: readonly { topic: string; partitions: readonly { partition: number; timestamp: string }[] }[]
  }): Promise<{ responses: readonly TopicOffsets[] }>
  listGroups(): Promise<{ groups: readonly { groupId: string }[] }>
}
interface TopicOffsets {
  readonly topic: string
  readonly partitions: readonly { readonly partition: number; readonly offset: string }[]
}
interface Fetched {
  readonly responses: readonly {
    readonly partitions: readonly {
      readonly messages: readonly { readonly offset: bigint | string; readonly timestamp: string }[]
    }[]
  }[]
}
interface DescribedGroups {
  readonly groups: readonly DescribedGroup[]
}

/** Opens a sampler. Throws PIPE_KAFKA_UNAVAILABLE when no broker answers. */
export async function openSampler(createClient: () => KafkaJS, clock: Clock): Promise<LogSampler> {
  const session = createSession(createClient, clock)
  await session.run('connecting', async () => undefined)
  /** By partition key, of the last metadata. */
  let leaders: ReadonlyMap<string, number> = new Map()
  const starts = new Map<string, SeenStart>()
  return {
    heads: (wanted) =>
      session.run('sampling heads', async (cluster) => {
        const placed = await placesOf(cluster, wanted)
        leaders = new Map(placed.map((place) => [partitionKey(place), place.leader]))
        for (const key of starts.keys()) if (!leaders.has(key)) starts.delete(key)
        return await rangesOf(cluster, placed, starts, clock.monotonic())
      }),
    committed: (groupId, partitions) =>
      session.run(`reading the offsets of group ${groupId}`, async (cluster) => {
        if (partitions.length === 0) return new Map()
        const coordinator = await cluster.findGroupCoordinator({ groupId })
        const topics = byTopic(partitions, ({ partition }) => ({ partition, offset: latest }))
        const { responses } = await coordinator.offsetFetch({ groupId, topics })
        return new Map([...indexed(responses)].filter(([, offset]) => offset >= 0n))
      }),
    appendTimes: (positions) =>
      session.run('reading append times', async (cluster) => {
        const times = new Map<string, number>()
        for (const position of positions) {
          const key = partitionKey(position)
          const time = await appendTime(cluster, leaders.get(key) ?? -1, position)
          if (time !== undefined) times.set(key, time)
        }
        return times
      }),
    holders: (topic) => session.run(`asking who reads ${topic}`, (cluster) => holdersOf(cluster, topic)),
    [Symbol.asyncDispose]: session.close
  }
}

interface Session {
  /** Runs `work` with a connected cluster, and once more when nobody could answer: with another one, as a rule. */
  run<T>(doing: string, work: (cluster: Cluster) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** A group whose coordinator is not there yet says nothing about the connections, which other calls are using. */
const coordinatorCodes: ReadonlySet<string> = new Set([
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
  'KafkaJSGroupCoordinatorNotFound'
])

function createSession(createClient: () => KafkaJS, clock: Clock): Session {
  let current: Promise<Cluster> | undefined
  const connect = (): Promise<Cluster> => {
    if (current === undefined) {
      const connecting = openCluster(createClient())
      current = connecting
      connecting.catch(() => {
        if (current === connecting) current = undefined
      })
    }
    return current
  }
  const drop = async (used: Promise<Cluster> | undefined): Promise<void> => {
    if (used === undefined) return
    if (current === used) current = undefined
    const closing = used.then((cluster) => cluster.disconnect()).catch(() => undefined)
    await within(closing, 5_000, clock)
  }
  return {
    async run(doing, work) {
      for (let attempt = 1; ; attempt++) {
        const used = connect()
        try {
          return await guardNull(used.then(work))
        } catch (error) {
          const { kind, code } = classifyKafka(error)
          if (kind !== 'missing' && kind !== 'unavailable') throw toAppError(error, doing)
          if (!coordinatorCodes.has(code)) await drop(used)
          if (attempt === 2) throw toAppError(error, doing)
        }
      }
    },
    close: () => drop(current)
  }
}

interface Place extends TopicPartition {
  readonly leader: number
}

/** Retention moves the start of a log now and then, so it is asked for now and then. */
interface SeenStart {
  readonly offset: bigint
  readonly atMs: number
}
const startAgeMs = 60_000

async function placesOf(cluster: Cluster, wanted: (topic: string) => boolean): Promise<readonly Place[]> {
  const { topicMetadata } = await cluster.metadata()
  return topicMetadata
    .filter(({ topic }) => wanted(topic))
    .flatMap(({ topic, partitionMetadata }) =>
      partitionMetadata.map(({ partitionId, leader }) => ({ topic, partition: partitionId, leader }))
    )
}

/** Ends before starts: a record that comes in between is not counted as one that retention took. */
async function rangesOf(
  cluster: Cluster,
  places: readonly Place[],
  starts: Map<string, SeenStart>,
  nowMs: number
): Promise<readonly PartitionHead[]> {
  const perLeader = Map.groupBy(
    places.filter(({ leader }) => leader >= 0),
    ({ leader }) => leader
  )
  const found = await Promise.all(
    [...perLeader].map(async ([leader, own]): Promise<readonly PartitionHead[]> => {
      try {
        const broker = (await cluster.findBroker({ nodeId: String(leader) })) as SampledBroker
        const ends = await offsetsOf(broker, own, latest)
        const isOld = (place: Place): boolean =>
          nowMs - (starts.get(partitionKey(place))?.atMs ?? Number.NEGATIVE_INFINITY) >= startAgeMs
        const old = own.filter(isOld)
        const asked = old.length === 0 ? [] : await offsetsOf(broker, old, earliest)
        for (const [key, offset] of asked) starts.set(key, { offset, atMs: nowMs })
        return own.flatMap((place) => {
          const [start, end] = [starts.get(partitionKey(place))?.offset, ends.get(partitionKey(place))]
          return start === undefined || end === undefined ? [] : [{ ...place, start, end }]
        })
      } catch (error) {
        // One broker that is away, or a leader that has just moved, does not hide what the others hold.
        if (perLeader.size === 1 || classifyKafka(error).kind !== 'unavailable') throw error
        return []
      }
    })
  )
  return found.flat()
}

async function offsetsOf(
  broker: SampledBroker,
  places: readonly Place[],
  timestamp: string
): Promise<ReadonlyMap<string, bigint>> {
  const topics = byTopic(places, ({ partition }) => ({ partition, timestamp }))
  return indexed((await broker.listOffsets({ isolationLevel: 0, topics })).responses)
}

async function appendTime(cluster: Cluster, leader: number, position: Commit): Promise<number | undefined> {
  if (leader < 0) return undefined
  const { topic, partition, offset } = position
  const broker = await cluster.findBroker({ nodeId: String(leader) })
  // A broker gives the first batch whole however small the limit is.
  const fetched = (await broker.fetch({
    isolationLevel: 0,
    maxWaitTime: 100,
    minBytes: 1,
    maxBytes: 1,
    topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes: 1 }] }]
  })) as Fetched
  const messages = fetched.responses[0]?.partitions[0]?.messages ?? []
  const next = messages.find((message) => BigInt(message.offset) >= offset)
  return next === undefined ? undefined : Number(next.timestamp)
}

async function holdersOf(cluster: Cluster, topic: string): Promise<ReadonlyMap<string, ReadonlySet<number>>> {
  const described: DescribedGroup[] = []
  for (const nodeId of cluster.getNodeIds()) {
    // A broker knows the groups that it coordinates.
    const broker = (await cluster.findBroker({ nodeId: String(nodeId) })) as SampledBroker
    const groupIds = (await broker.listGroups()).groups.map(({ groupId }) => groupId)
    if (groupIds.length === 0) continue
    described.push(...((await broker.describeGroups({ groupIds })) as DescribedGroups).groups)
  }
  return holdersIn(described, topic)
}

function byTopic<T>(
  partitions: readonly TopicPartition[],
  toEntry: (partition: TopicPartition) => T
): { topic: string; partitions: T[] }[] {
  return [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topic, own]) => ({
    topic,
    partitions: own.map(toEntry)
  }))
}

function indexed(answers: readonly TopicOffsets[]): ReadonlyMap<string, bigint> {
  const offsets = new Map<string, bigint>()
  for (const { topic, partitions } of answers)
    for (const { partition, offset } of partitions) offsets.set(partitionKey({ topic, partition }), BigInt(offset))
  return offsets
}
