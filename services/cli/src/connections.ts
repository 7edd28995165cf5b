// Connections of a command to the running pipeline. The client libraries log nothing here: a command tells by its
// result and its one error line.
import {
  clickhouseFields,
  kafkaFields,
  objectStoreFields,
  oneOf,
  postgresFields,
  redisStateFields
} from '@millrace/config'
import { topicProfiles } from '@millrace/contracts'
import type { TopicDeclaration, TopicProfile } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { adminLater, openKafka, samplerLater } from '@millrace/kafka'
import type { ConsumerClient, Kafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { declarationFor, loadTopicDeclaration } from '@millrace/operations/topics'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { openObjectStore } from '@millrace/stores/object-store'
import type { ObjectStore } from '@millrace/stores/object-store'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { settings } from './context.ts'
import type { CliContext } from './context.ts'

const profileFields = {
  TOPIC_PROFILE: oneOf({ doc: 'Sizes of topics.yaml to use.', default: 'local', values: topicProfiles })
}

/** An admin client and a sampler that connect when they are first asked: what needs no broker works while none answers. */
type LateAdmin = ReturnType<typeof adminLater>
type LateSampler = ReturnType<typeof samplerLater>

/** The pipeline's Kafka; it lives as long as `stack`. */
export async function openCluster(context: CliContext, dataDir: string, stack: AsyncDisposableStack): Promise<Kafka> {
  return stack.use(await openKafka(settings(context, dataDir, kafkaFields), { log: createSilentLogger() }))
}

/** Administration of the pipeline's Kafka; it lives as long as `stack`. */
export async function openAdmin(context: CliContext, dataDir: string, stack: AsyncDisposableStack): Promise<LateAdmin> {
  return adminLater(await openCluster(context, dataDir, stack))
}

/** Samples of the pipeline's Kafka; it lives as long as `stack`. */
export async function openSampler(
  context: CliContext,
  dataDir: string,
  stack: AsyncDisposableStack
): Promise<LateSampler> {
  return samplerLater(await openCluster(context, dataDir, stack))
}

/** The pipeline's PostgreSQL; it lives as long as `stack`. */
export async function openDatabase(
  context: CliContext,
  dataDir: string,
  stack: AsyncDisposableStack
): Promise<Postgres> {
  const { DATABASE_URL } = settings(context, dataDir, postgresFields)
  const options = { url: DATABASE_URL, poolSize: 2, name: 'millrace-cli', log: createSilentLogger() }
  return stack.use(await openPostgres(options))
}

/** The pipeline's ClickHouse; it lives as long as `stack`. */
export async function openWarehouse(
  context: CliContext,
  dataDir: string,
  stack: AsyncDisposableStack
): Promise<Clickhouse> {
  const { CLICKHOUSE_URL } = settings(context, dataDir, clickhouseFields)
  const options = { url: CLICKHOUSE_URL, applicationName: 'millrace-cli', log: createSilentLogger() }
  return stack.use(await openClickhouse(options))
}

/** The pipeline's log, to be read; it lives as long as `stack`. */
export async function openLog(
  context: CliContext,
  dataDir: string,
  stack: AsyncDisposableStack
): Promise<{ readonly admin: LateAdmin; readonly client: ConsumerClient }> {
  const kafka = await openCluster(context, dataDir, stack)
  return { admin: adminLater(kafka), client: kafka.consumers }
}

/** The pipeline's object store; it lives as long as `stack`. */
export function openObjects(context: CliContext, dataDir: string, stack: AsyncDisposableStack): ObjectStore {
  const { OBJECT_STORE_URL: url, OBJECT_STORE_TIMEOUT_MS: timeoutMs } = settings(context, dataDir, objectStoreFields)
  return stack.use(openObjectStore({ url, timeoutMs, clock: systemClock }))
}

/** The Redis that holds the live state; it lives as long as `stack`. */
export async function openLiveState(context: CliContext, dataDir: string, stack: AsyncDisposableStack): Promise<Redis> {
  const { REDIS_STATE_URL } = settings(context, dataDir, redisStateFields)
  const options = { url: REDIS_STATE_URL, role: 'state', log: createSilentLogger(), commandTimeoutMs: 5_000 } as const
  return stack.use(await openRedis({ ...options, requirePolicy: 'when-reachable' }))
}

/** The declared topics as this cluster can hold them: more brokers, more copies. */
export async function topicDeclaration(context: CliContext, dataDir: string): Promise<TopicDeclaration> {
  const { KAFKA_BROKERS } = settings(context, dataDir, kafkaFields)
  return declarationFor(await loadTopicDeclaration(), KAFKA_BROKERS.length)
}

/** Whether topics get their local or their production sizes. */
export function topicProfile(context: CliContext, dataDir: string): TopicProfile {
  return settings(context, dataDir, profileFields).TOPIC_PROFILE
}
