// Cluster administration through the library, with its traps closed: configuration is merged before it is written, and
// group offsets are committed in one request that the broker refuses while the group has members.
import kafkajs from 'kafkajs'
import type { Admin as KafkaJSAdmin, ITopicConfig, Kafka as KafkaJS } from 'kafkajs'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { within } from './bounded.ts'
import { openCluster } from './kafkajs-cluster.ts'
import { classifyKafka, toAppError } from './kafkajs-errors.ts'
import type { Admin, PartitionRange, TopicDescription } from './port.ts'
import { guardNull } from './topic-leaders.ts'

/** Opens an admin client. Throws PIPE_KAFKA_UNAVAILABLE when no broker answers. */
export async function openAdmin(createClient: () => KafkaJS, clock: Clock): Promise<Admin> {
  const session = createAdminSession(createClient, clock)
  await session.run('connecting', async () => undefined)
  const { run } = session
  return {
    listTopics: () => run('listing topics', (admin) => guardNull(admin.listTopics())),
    describeTopics: (topics) => run('describing topics', (admin) => describe(admin, topics)),
    createTopics: (topics) =>
      run('creating topics', async (admin) => {
        for (const { topic, partitions, replicationFactor, config } of topics) {
          const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
          const creation = { topic, numPartitions: partitions, replicationFactor, configEntries }
          await createTopic(admin, creation, clock)
        }
      }),
    growPartitions: (topic, count) =>
      run(`growing ${topic}`, async (admin) => {
        await admin.createPartitions({ topicPartitions: [{ topic, count }], timeout: 15_000 })
      }),
    alterTopicConfig: (topic, config) => run(`configuring ${topic}`, (admin) => alter(admin, topic, config)),
    deleteTopics: (topics) =>
      run('deleting topics', async (admin) => {
        if (topics.length > 0) await admin.deleteTopics({ topics: [...topics], timeout: 15_000 })
      }),
    ranges: (topic) => run(`reading the offsets of ${topic}`, (admin) => ranges(admin, topic)),
    offsetsAt: (topic, timeMs) =>
      run(`searching ${topic} by time`, async (admin) => {
        const found = await askOffsets(() => admin.fetchTopicOffsetsByTimestamp(topic, timeMs))
        return new Map(found.map(({ partition, offset }) => [partition, BigInt(offset)]))
      }),
    groupOffsets: (groupId, topic) =>
      run(`reading the offsets of group ${groupId}`, (admin) => groupOffsets(admin, groupId, topic)),
    setGroupOffsets: (groupId, topic, offsets) =>
      run(`setting the offsets of group ${groupId}`, async (admin) => {
        await session.commitOutside(groupId, topic, offsets)
        const stored = await groupOffsets(admin, groupId, topic)
        for (const [partition, offset] of offsets) {
          if (stored.get(partition) === offset) continue
          const text = `group ${groupId} holds ${stored.get(partition) ?? 'nothing'} for ${topic}:${partition}, not ${offset}`
          throw new AppError('PIPE_CONFLICT', text)
        }
      }),
    brokerCount: () =>
      run('describing the cluster', async (admin) => (await guardNull(admin.describeCluster())).brokers.length),
    [Symbol.asyncDispose]: session.close
  }
}

/**
 * Creates a topic and waits for its leaders. A busy broker may not know its newest topic yet when the client asks for them,
 * which the client takes for an error; asked again, it finds the topic created.
 */
async function createTopic(admin: KafkaJSAdmin, creation: ITopicConfig, clock: Clock): Promise<void> {
  const create = () => admin.createTopics({ topics: [creation], waitForLeaders: true, timeout: 15_000 })
  try {
    await create()
  } catch (error) {
    if (classifyKafka(error).kind !== 'missing') throw error
    await clock.sleep(100)
    await create()
  }
}

interface AdminSession {
  /** Runs `work` with a connected client; a client that a deleted topic has poisoned is replaced once. */
  run<T>(doing: string, work: (admin: KafkaJSAdmin) => Promise<T>): Promise<T>
  /** Commits as no member; the broker refuses it while the group has any. */
  commitOutside(groupId: string, topic: string, offsets: ReadonlyMap<number, bigint>): Promise<void>
  close(): Promise<void>
}

const closeMs = 5_000
/** A coordinator that is taking over its groups, or makes the first ones, needs a moment; the connections are as they were. */
const coordinatorCodes: ReadonlySet<string> = new Set([
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP'
])
const coordinatorAttempts = 8
const coordinatorWaitMs = 250

function createAdminSession(createClient: () => KafkaJS, clock: Clock): AdminSession {
  let current: Promise<KafkaJSAdmin> | undefined
  const connect = (): Promise<KafkaJSAdmin> => {
    if (current !== undefined) return current
    const admin = createClient().admin()
    const connecting = admin.connect().then(
      () => admin,
      async (error: unknown) => {
        if (current === connecting) current = undefined
        // What it has connected already would stay, one more with each attempt.
        await within(admin.disconnect(), closeMs, clock).catch(() => undefined)
        throw error
      }
    )
    connecting.catch(() => undefined)
    current = connecting
    return connecting
  }
  /** Calls that are under way through it fail and are made again through the next one. */
  const drop = async (used: Promise<KafkaJSAdmin> | undefined): Promise<void> => {
    if (current === used) current = undefined
    const closing = used?.then((opened) => opened.disconnect()).catch(() => undefined)
    if (closing !== undefined) await within(closing, closeMs, clock)
  }
  return {
    async run(doing, work) {
      for (let attempt = 1; ; attempt++) {
        const used = connect()
        try {
          return await used.then(work)
        } catch (error) {
          if (error instanceof AppError) throw error
          const { kind, code } = classifyKafka(error)
          if (coordinatorCodes.has(code) && attempt < coordinatorAttempts) {
            await clock.sleep(coordinatorWaitMs)
            continue
          }
          if (attempt > 1 || (kind !== 'missing' && kind !== 'unavailable')) throw toAppError(error, doing)
          await drop(used)
        }
      }
    },
    async commitOutside(groupId, topic, offsets) {
      const cluster = await openCluster(createClient())
      try {
        const coordinator = await cluster.findGroupCoordinator({ groupId })
        const partitions = [...offsets].map(([partition, offset]) => ({ partition, offset: String(offset) }))
        const topics = [{ topic, partitions }]
        await coordinator.offsetCommit({ groupId, groupGenerationId: -1, memberId: '', topics })
      } finally {
        await cluster.disconnect()
      }
    },
    close: () => drop(current)
  }
}

async function describe(admin: KafkaJSAdmin, names: readonly string[]): Promise<readonly TopicDescription[]> {
  if (names.length === 0) return []
  const resources = names.map((name) => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name }))
  const { topics } = await guardNull(admin.fetchTopicMetadata({ topics: [...names] }))
  const configs = await admin.describeConfigs({ resources, includeSynonyms: false })
  return topics.map(({ name, partitions }) => {
    const entries = configs.resources.find(({ resourceName }) => resourceName === name)?.configEntries ?? []
    const own = entries.filter(({ configSource }) => configSource === kafkajs.ConfigSource.TOPIC_CONFIG)
    return {
      topic: name,
      partitions: partitions.length,
      replicationFactor: partitions[0]?.replicas.length ?? 0,
      inSync: Math.min(...partitions.map(({ isr }) => isr.length)),
      config: Object.fromEntries(own.map(({ configName, configValue }) => [configName, configValue]))
    }
  })
}

/** The request replaces a topic's whole configuration, so what is set already is sent again. */
async function alter(admin: KafkaJSAdmin, topic: string, config: Readonly<Record<string, string>>): Promise<void> {
  const [before] = await describe(admin, [topic])
  const merged = { ...before?.config, ...config }
  const configEntries = Object.entries(merged).map(([name, value]) => ({ name, value }))
  const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries }]
  await admin.alterConfigs({ validateOnly: false, resources })
}

/**
 * Asks a second and a third time: another request on this connection, such as one that creates a topic, may renew the
 * metadata in the middle of this one.
 */
async function askOffsets<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await guardNull(ask())
    } catch (error) {
      if (tries === 3 || !(error instanceof AppError)) throw error
    }
  }
}

async function ranges(admin: KafkaJSAdmin, topic: string): Promise<readonly PartitionRange[]> {
  const offsets = await askOffsets(() => admin.fetchTopicOffsets(topic))
  return offsets
    .map(({ partition, low, high }) => ({ topic, partition, start: BigInt(low), end: BigInt(high) }))
    .sort((a, b) => a.partition - b.partition)
}

async function groupOffsets(admin: KafkaJSAdmin, groupId: string, topic: string): Promise<ReadonlyMap<number, bigint>> {
  const answers = await admin.fetchOffsets({ groupId, topics: [topic] })
  const partitions = answers.find((answer) => answer.topic === topic)?.partitions ?? []
  const committed = partitions.map(({ partition, offset }) => [partition, BigInt(offset)] as const)
  return new Map(committed.filter(([, offset]) => offset >= 0n))
}
