// Groups of settings that several services share; a service spreads the groups it needs into its own spec.
import { bool, int, list, ms, oneOf, secret, str, url, urls } from './fields.ts'

export const logFields = {
  LOG_LEVEL: oneOf({
    doc: 'Least severe level that is logged.',
    default: 'info',
    values: ['trace', 'debug', 'info', 'warn', 'error', 'fatal']
  })
}

/** `/health`, `/livez`, `/readyz`, `/metrics` and, where a service has one, its API. */
export function httpFields(port: number) {
  return {
    PORT: int({ doc: 'Port of the HTTP server.', default: port, min: 0, max: 65_535 }),
    HOST: str({ doc: 'Address the HTTP server listens on.', default: '127.0.0.1' }),
    DRAIN_DELAY_MS: ms({
      doc: 'Time between "not ready" and the end of intake, for the load balancer.',
      default: 0,
      max: 60_000
    }),
    STOP_TIMEOUT_MS: ms({ doc: 'Longest graceful stop; then the process exits with 1.', default: 25_000, min: 1_000 })
  }
}

export const kafkaFields = {
  KAFKA_BROKERS: list({ doc: 'Bootstrap brokers, host:port, comma-separated.', min: 1 }),
  KAFKA_CLIENT_ID: str({ doc: 'Client id shown in broker logs; the service name when empty.', default: 'millrace' }),
  KAFKA_SSL: bool({ doc: 'TLS to the brokers.', default: false }),
  KAFKA_SASL_MECHANISM: oneOf({
    doc: 'SASL mechanism.',
    default: 'none',
    values: ['none', 'plain', 'scram-sha-256', 'scram-sha-512']
  }),
  KAFKA_SASL_USERNAME: str({ doc: 'SASL user.', default: '-' }),
  KAFKA_SASL_PASSWORD: secret({ doc: 'SASL password.', default: '-' }),
  KAFKA_FAST_ENCODING: bool({
    doc: 'Encode and decode record batches by our own code: the same at a fraction of the cost. Off: by the client.',
    default: true
  })
}

/** For every service that enriches: they have to agree, or the same event has a country in one place and none in another. */
export const enrichFields = {
  COUNTRY_DATABASE: str({
    doc: 'File in the format of MaxMind (such as GeoLite2-Country.mmdb) that tells the country of an address; empty: none.',
    default: ''
  })
}

/** Consumer tuning shared by every worker. */
export const consumerFields = {
  CONCURRENCY: int({ doc: 'Partitions whose batches are handled at once.', default: 5, min: 1, max: 1_000 }),
  SESSION_TIMEOUT_MS: ms({
    doc: 'Silence after which the group drops a member.',
    default: 30_000,
    min: 6_000,
    max: 300_000
  }),
  HEARTBEAT_INTERVAL_MS: ms({
    doc: 'Time between heartbeats; below a third of the session timeout.',
    default: 3_000,
    min: 500
  }),
  TOPIC_REFRESH_MS: ms({
    doc: 'New topics of a family are looked for at multiples of this time.',
    default: 15_000,
    min: 1_000
  })
}

/** When a worker sets a record aside, and when it stops instead (docs/dead-letters.md). */
export const letterFields = {
  RECORD_RETRY_MS: ms({
    doc: 'Wait before a record that a store refused is tried again by itself; the second is 4, the third 16 times as long. 0: dead at once.',
    default: 1_000,
    max: 60_000
  }),
  STORM_PER_MINUTE: int({
    doc: 'Dead letters of one process in a minute at most; above it stops and waits for a person. 0: it never stops.',
    default: 100,
    min: 0
  }),
  STORM_PERCENT: int({
    doc: 'Dead letters in a hundred records of a minute at most, looked at from 50 letters on; above it stops, too.',
    default: 1,
    min: 1,
    max: 100
  })
}

const redisProtocols = ['redis:', 'rediss:', 'redis+cluster:', 'redis+sentinel:'] as const

export const redisDedupFields = {
  REDIS_DEDUP_URL: url({ doc: 'Redis of the deduplication role (noeviction).', protocols: redisProtocols })
}
export const redisStateFields = {
  REDIS_STATE_URL: url({ doc: 'Redis of the state role (noeviction, AOF).', protocols: redisProtocols })
}
/** What decides what the live state counts: the same for every process that writes it. */
export const liveStateFields = {
  CONVERSION_TYPES: list({ doc: 'Event types that count as a conversion.', default: ['purchase'] }),
  LATENESS_MS: ms({
    doc: 'An event appended later than this after its own time counts in no live value; a change takes a new epoch.',
    default: 600_000,
    min: 0,
    max: 86_400_000
  }),
  SESSION_IDLE_MS: ms({
    doc: 'A session without events for this long is over; a change takes a new epoch.',
    default: 1_800_000,
    min: 100,
    max: 86_400_000
  })
}
export const redisCacheFields = {
  REDIS_CACHE_URL: url({ doc: 'Redis of the cache role (allkeys-lru).', protocols: redisProtocols })
}
/** For services that look much up in the cache. */
export const redisCacheReplicaFields = {
  REDIS_CACHE_REPLICA_URL: url({
    doc: 'A replica of the cache in which answers are looked up first; empty: none (docs/scaling-reads.md).',
    protocols: redisProtocols,
    default: ''
  })
}

const postgresProtocols = ['postgres:', 'postgresql:'] as const

export const postgresFields = {
  DATABASE_URL: url({ doc: 'PostgreSQL; may be PgBouncer in transaction mode.', protocols: postgresProtocols }),
  DATABASE_POOL_SIZE: int({ doc: 'PostgreSQL connections of this process at most.', default: 5, min: 1, max: 100 })
}

/** For who takes locks that outlive a transaction. */
export const postgresDirectFields = {
  DATABASE_DIRECT_URL: url({
    doc: 'PostgreSQL without a pooler between, for locks of minutes; empty: DATABASE_URL, when that is no pooler.',
    protocols: postgresProtocols,
    default: ''
  })
}

/** For services some of whose reads a replica may answer. */
export const postgresReplicaFields = {
  DATABASE_REPLICA_URLS: urls({
    doc: 'Streaming replicas of PostgreSQL, comma-separated, for reads that bear being late (docs/scaling-reads.md).',
    protocols: postgresProtocols,
    default: []
  }),
  DATABASE_REPLICA_LAG_MS: ms({
    doc: 'A replica that is further behind is not read from; the others are, or DATABASE_URL.',
    default: 5_000,
    min: 200,
    max: 20_000
  })
}

/** For workers whose group can be replayed. */
export const replayFields = {
  DATABASE_URL: postgresFields.DATABASE_URL,
  REPLAY_CHECK_MS: ms({
    doc: 'How often a worker asks PostgreSQL whether its group is held, or has a part of the log to read again.',
    default: 2_000,
    min: 100,
    max: 60_000
  })
}

export const objectStoreFields = {
  OBJECT_STORE_URL: url({
    doc: 'Where files are kept: file:///folder, or s3://bucket/prefix with keys and parameters (docs/archive.md).',
    protocols: ['file:', 's3:']
  }),
  OBJECT_STORE_TIMEOUT_MS: ms({
    doc: 'Longest wait for an answer of the object store, and for one part of a large file.',
    default: 30_000,
    min: 100,
    max: 600_000
  })
}

const clickhouseProtocols = ['http:', 'https:'] as const

export const clickhouseFields = {
  CLICKHOUSE_URL: url({
    doc: 'ClickHouse over HTTP, with user, password and database.',
    protocols: clickhouseProtocols
  })
}

/** For services that ask the warehouse much. */
export const clickhouseReplicaFields = {
  CLICKHOUSE_REPLICA_URLS: urls({
    doc: 'Further ClickHouse servers with the same data as CLICKHOUSE_URL, comma-separated; queries go to those that answer.',
    protocols: clickhouseProtocols,
    default: []
  })
}

/** A revoked key is refused in time although a replica told of it late. */
export function replicaLagRule(config: {
  readonly DATABASE_REPLICA_LAG_MS: number
  readonly DATABASE_REPLICA_URLS: readonly string[]
  readonly KEY_FRESH_MS: number
}): string | undefined {
  const { DATABASE_REPLICA_LAG_MS: lag, DATABASE_REPLICA_URLS: urlsOfReplicas, KEY_FRESH_MS: fresh } = config
  const isFine = urlsOfReplicas.length === 0 || lag * 3 <= fresh
  return isFine ? undefined : 'DATABASE_REPLICA_LAG_MS must be at most a third of KEY_FRESH_MS'
}

/** A member that sends fewer than three heartbeats per session timeout is dropped by one late one. */
export function heartbeatRule(config: {
  readonly HEARTBEAT_INTERVAL_MS: number
  readonly SESSION_TIMEOUT_MS: number
}): string | undefined {
  const { HEARTBEAT_INTERVAL_MS: heartbeat, SESSION_TIMEOUT_MS: timeout } = config
  return heartbeat * 3 <= timeout ? undefined : 'HEARTBEAT_INTERVAL_MS must be at most a third of SESSION_TIMEOUT_MS'
}
