// The doctor over the stores of a deployment. Wiring only.
import type { ConfigOf, postgresFields, redisStateFields, clickhouseFields, kafkaFields } from '@millrace/config'
import type { TopicDeclaration, TopicProfile } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'
import type { Clock } from '@millrace/kernel'
import { toLagFacts } from '@millrace/operations/doctor/lag-facts'
import { storeClocks } from '@millrace/operations/doctor/open-clocks'
import { runDoctor } from '@millrace/operations/doctor/run-doctor'
import { schemasFolder } from '@millrace/operations/migrate'
import { listProjects } from '@millrace/operations/projects'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Postgres } from '@millrace/stores/postgres'
import type { Redis } from '@millrace/stores/redis'
import type { Monitor } from './monitor/monitor.ts'
import type { DoctorRouteDeps } from './routes/doctor.ts'
import type { watchedStoreFields } from './stores/fields.ts'

type KnownFields = typeof postgresFields &
  typeof redisStateFields &
  typeof watchedStoreFields &
  typeof clickhouseFields &
  typeof kafkaFields

export interface OpenDoctorDeps {
  readonly config: ConfigOf<KnownFields> & {
    readonly API_KEY_PEPPER: string
    readonly ADMIN_TOKEN: string
    readonly TOPIC_PROFILE: TopicProfile
  }
  readonly admin: Omit<Admin, typeof Symbol.asyncDispose>
  readonly declaration: TopicDeclaration
  readonly postgres: Postgres
  readonly clickhouse: Clickhouse
  /** Of every role that is known. */
  readonly redis: readonly Redis[]
  readonly monitor: Pick<Monitor, 'view'>
  readonly clock: Clock
}

/** The doctor of the routes. */
export function openDoctor(deps: OpenDoctorDeps): DoctorRouteDeps['doctor'] {
  const { config, admin, postgres, clickhouse, redis, clock } = deps
  const projects = async (): Promise<readonly string[]> =>
    (await listProjects(postgres)).map(({ projectId }) => projectId)
  const examined = {
    admin,
    declaration: deps.declaration,
    profile: config.TOPIC_PROFILE,
    projects,
    lag: async () => toLagFacts(deps.monitor.view(), clock.now()),
    postgres,
    clickhouse,
    redis,
    schemas: schemasFolder,
    clock,
    clocks: storeClocks({ postgres, clickhouse, redis }),
    folders: [],
    settings: knownSettings(config)
  }
  return (pools, only) => runDoctor({ ...examined, pools }, only)
}

/** What the doctor knows of settings: those of this service, which the others have, too. */
function knownSettings(config: OpenDoctorDeps['config']): Readonly<Record<string, string>> {
  const { DATABASE_URL, REDIS_DEDUP_URL, REDIS_STATE_URL, REDIS_CACHE_URL, CLICKHOUSE_URL } = config
  const { API_KEY_PEPPER, ADMIN_TOKEN, KAFKA_BROKERS, KAFKA_SSL } = config
  return {
    DATABASE_URL,
    REDIS_DEDUP_URL,
    REDIS_STATE_URL,
    REDIS_CACHE_URL,
    CLICKHOUSE_URL,
    API_KEY_PEPPER,
    ADMIN_TOKEN,
    KAFKA_BROKERS: KAFKA_BROKERS.join(','),
    KAFKA_SSL: String(KAFKA_SSL)
  }
}
