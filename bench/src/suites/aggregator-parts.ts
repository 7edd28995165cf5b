// What the benchmarks of the live state share: a stack, projects with logs of their own, aggregators that read them, and
// consumers to compare them with.
import { join } from 'node:path'
import { stateKeys } from '@millrace/aggregation/keys'
import { toMap, toPartitions } from '@millrace/aggregation/inspection'
import { kafkaFields, load } from '@millrace/config'
import { rawTopic, topicSettings } from '@millrace/contracts'
import { openKafka } from '@millrace/kafka'
import type { Admin, ProduceRecord, Producer } from '@millrace/kafka'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { loadTopicDeclaration } from '@millrace/operations/topics'
import { openPostgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { backlogVariant } from '../backlog.ts'
import { openBenchStack } from '../bench-stack.ts'
import type { BenchStack } from '../bench-stack.ts'
import { startChildServer } from '../child.ts'
import type { ChildServer } from '../child.ts'
import { createEvents } from '../gen/workloads.ts'
import type { Variant } from '../harness.ts'

export interface StreamParts extends AsyncDisposable {
  readonly stack: BenchStack
  readonly admin: Admin
  readonly producer: Producer
  readonly redis: Redis
  /** Makes a project with a raw topic of so many partitions. */
  project(projectId: string, partitions: number): Promise<void>
  /** Aggregators that share the partitions of a project. */
  aggregators(projectId: string, count: number): Promise<readonly RunningService[]>
  /** A reference consumer of a project's raw topic. */
  reference(file: string, projectId: string): Promise<ChildServer>
}

/** What is put in front of a consumer. */
export interface LoadOf {
  readonly projectId: string
  readonly records: (count: number) => readonly ProduceRecord[]
  readonly perSecond: number
  /** Default: the processes of the consumer. */
  readonly pids?: () => readonly number[]
}

/** Starts the stack; nothing reads yet. */
export async function openStreamParts(log: (line: string) => void): Promise<StreamParts> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, folder, pepper } = stack
  const silent = createSilentLogger()
  const kafka = opening.use(await openKafka(load(kafkaFields, endpoints), { log: silent }))
  const admin = opening.use(await kafka.admin())
  const producer = opening.use(await kafka.producer())
  const postgres = opening.use(
    await openPostgres({ url: endpoints.DATABASE_URL, poolSize: 1, log: silent, name: 'bench' })
  )
  const redis = opening.use(
    await openRedis({
      url: endpoints.REDIS_STATE_URL,
      role: 'state',
      log: silent,
      requirePolicy: 'now',
      commandTimeoutMs: 10_000
    })
  )
  const settings = topicSettings(await loadTopicDeclaration(), 'local', 'raw')
  const opened = opening.move()
  return {
    stack,
    admin,
    producer,
    redis,
    async project(projectId, partitions) {
      await admin.createTopics([{ ...settings, topic: rawTopic(projectId), partitions }])
      await postgres.query('INSERT INTO projects (id, name) VALUES ($1, $1)', [projectId])
    },
    async aggregators(projectId, count) {
      const running = await Promise.all(
        Array.from({ length: count }, (_, index) =>
          startServices({
            endpoints,
            pepper,
            folder: join(folder, `${projectId}-${index}`),
            only: ['aggregator'],
            ports: 'ephemeral',
            restart: false,
            env: { PROJECTS: projectId, CONSUMER_GROUP: `aggregate-${projectId}` }
          })
        )
      )
      for (const services of running) opened.use(services)
      return running.map((services) => services.service('aggregator'))
    },
    async reference(file, projectId) {
      const { KAFKA_BROKERS, REDIS_STATE_URL } = endpoints
      const env = { KAFKA_BROKERS, REDIS_STATE_URL, FROM: rawTopic(projectId), GROUP: groupOf(file, projectId) }
      return opened.use(await startChildServer(file, env))
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** Aggregators under a backlog of their project, done when Redis has the positions. */
export function aggregatorVariant(
  name: string,
  { redis, producer }: StreamParts,
  services: readonly RunningService[],
  { projectId, pids = () => services.flatMap(({ pid }) => pid ?? []), ...load }: LoadOf
): Variant {
  const done = async (): Promise<number> => {
    const flat = (await redis.command('HGETALL', stateKeys(projectId, 1).positions)) as readonly string[]
    return toPartitions(toMap(flat)).reduce((sum, { position }) => sum + Number(position), 0)
  }
  return backlogVariant({ name, pids, producer, topic: rawTopic(projectId), ...load, done })
}

/** A reference under a backlog of its project, done when its group has committed. */
export function referenceVariant(
  name: string,
  { admin, producer }: StreamParts,
  { file, child }: { readonly file: string; readonly child: ChildServer },
  { projectId, pids = () => [child.pid], ...load }: LoadOf
): Variant {
  const topic = rawTopic(projectId)
  const done = async (): Promise<number> => {
    const offsets = await admin.groupOffsets(groupOf(file, projectId), topic)
    return [...offsets.values()].reduce((sum, offset) => sum + Number(offset), 0)
  }
  return backlogVariant({ name, pids, producer, topic, ...load, done })
}

/**
 * Events of a shop that happened within the last second, one after the other, each with an id of its own. A visitor has one
 * session at a time.
 */
export function streamRecords(
  seed: number,
  run: string,
  partitions: number,
  { sessions = true }: { readonly sessions?: boolean } = {}
): (count: number) => readonly ProduceRecord[] {
  const next = createEvents(seed, run)
  let made = 0
  return (count) => {
    const nowMs = Date.now()
    const receivedAt = new Date(nowMs).toISOString()
    return Array.from({ length: count }, (_, index): ProduceRecord => {
      const event = JSON.parse(next()) as Record<string, unknown>
      event['timestamp'] = new Date(nowMs - 1_000 + Math.floor((index * 1_000) / count)).toISOString()
      event['receivedAt'] = receivedAt
      if (sessions) event['sessionId'] = `session-of-${String(event['anonymousId'])}`
      else delete event['sessionId']
      return { partition: made++ % partitions, key: null, value: Buffer.from(JSON.stringify(event)) }
    })
  }
}

function groupOf(file: string, projectId: string): string {
  return `${file.replaceAll(/[^a-z]+/g, '-')}-${projectId}`
}
