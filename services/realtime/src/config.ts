// Settings of the live feed.
import {
  bool,
  bytes,
  consumerFields,
  heartbeatRule,
  httpFields,
  int,
  kafkaFields,
  list,
  logFields,
  ms,
  postgresFields,
  postgresReplicaFields,
  redisCacheFields,
  redisStateFields,
  replicaLagRule,
  secret,
  str
} from '@millrace/config'
import type { ConfigOf } from '@millrace/config'
import type { ConnectionLimits } from './connection.ts'
import type { SocketSettings } from './sockets.ts'
import type { TopicWatchSettings } from './topic-watch.ts'

export const realtimeSpec = {
  ...logFields,
  ...httpFields(4003),
  ...kafkaFields,
  ...postgresFields,
  ...postgresReplicaFields,
  ...redisCacheFields,
  ...redisStateFields,
  API_KEY_PEPPER: secret({ doc: 'Secret that API keys are hashed with; the same for every service and the CLI.' }),
  KEY_FRESH_MS: ms({
    doc: 'A revoked key and changed settings of a project take effect within this time, and connections end with their key; above it PostgreSQL is asked first.',
    default: 60_000,
    min: 3_000,
    max: 3_600_000
  }),
  CORS_ORIGINS: list({
    doc: 'Origins whose pages may connect to projects that name none themselves; `*` is any.',
    default: ['*']
  }),
  TRUST_PROXY: bool({
    doc: 'Take host and protocol of the page from X-Forwarded-*; only behind a proxy that sets them.',
    default: false
  }),
  TICKET_TTL_MS: ms({ doc: 'How long a ticket is good.', default: 60_000, min: 1_000, max: 600_000 }),
  TICK_MS: ms({ doc: 'Shortest time between two frames of one subscription.', default: 100, min: 10, max: 1_000 }),
  PING_MS: ms({
    doc: 'Clients are pinged at this interval; one that did not answer the ping before is gone.',
    default: 15_000,
    min: 100,
    max: 120_000
  }),
  CONNECTION_MAX_AGE_MS: ms({
    doc: 'A connection is closed after this time and needs a new ticket.',
    default: 12 * 3_600_000,
    min: 1_000,
    max: 7 * 86_400_000
  }),
  MAX_CONNECTIONS: int({ doc: 'Connections of one instance.', default: 20_000, min: 1 }),
  PROJECT_CONNECTIONS: int({ doc: 'Connections of one project to one instance.', default: 2_000, min: 1 }),
  PROJECT_CHANNELS: int({
    doc: 'Different subscriptions of one project on one instance; the same one of many clients counts once.',
    default: 200,
    min: 1
  }),
  SOCKET_SUBSCRIPTIONS: int({ doc: 'Subscriptions of one connection.', default: 20, min: 1, max: 1_000 }),
  MESSAGE_MAX_BYTES: bytes({ doc: 'Largest message of a client.', default: 8 * 1024, min: 256, max: 1024 ** 2 }),
  MESSAGES_PER_10S: int({
    doc: 'Messages and pings of one client in ten seconds; above it is closed.',
    default: 100,
    min: 1
  }),
  BUFFER_MAX_BYTES: bytes({
    doc: 'Bytes that may wait for one client; beyond it the client gets a fresh snapshot when it has caught up.',
    default: 1024 ** 2,
    // Above what a socket takes before it tells of a drain.
    min: 128 * 1024,
    max: 64 * 1024 ** 2
  }),
  MAX_CELLS: int({
    doc: 'Values of one subscription to a metric, the newest windows first.',
    default: 5_000,
    min: 100
  }),
  EVENTS_PER_TICK: int({
    doc: 'Events of one subscription in one frame; more are left out.',
    default: 50,
    min: 1,
    max: 1_000
  }),
  SNAPSHOT_REFRESH_MS: ms({
    doc: 'Watched windows are read again from the live state at this interval.',
    default: 10_000,
    min: 100,
    max: 300_000
  }),
  TOPIC_LINGER_MS: ms({
    doc: 'A topic is read on for this long after nobody watches it any more.',
    default: 10_000,
    min: 0,
    max: 600_000
  }),
  TOPIC_REFRESH_MS: ms({
    doc: 'A watched topic that does not exist yet is looked for this often.',
    default: 2_000,
    min: 500
  }),
  MAX_TOPICS: int({ doc: 'Topics of each kind that are read at once.', default: 100, min: 1 }),
  SESSION_TIMEOUT_MS: consumerFields.SESSION_TIMEOUT_MS,
  HEARTBEAT_INTERVAL_MS: consumerFields.HEARTBEAT_INTERVAL_MS,
  DEMO_PROJECT: str({
    doc: 'Project that the page shows to everybody who can reach the port, without a key; for one machine alone (HOST must be a loopback address). `-` is none.',
    default: '-'
  })
}

/** The demo gives tickets to whoever asks: nobody but this machine may ask. */
function demoRule({ DEMO_PROJECT, HOST }: ConfigOf<typeof realtimeSpec>): string | undefined {
  if (DEMO_PROJECT === '-' || ['127.0.0.1', '::1', 'localhost'].includes(HOST)) return undefined
  return 'DEMO_PROJECT needs HOST to be 127.0.0.1, ::1 or localhost: it shows a project to whoever can reach the port'
}

/** Rules over several settings. */
export const realtimeRules = [heartbeatRule, demoRule, replicaLagRule]

/** How topics are watched. */
export function topicSettings(config: ConfigOf<typeof realtimeSpec>): TopicWatchSettings {
  return {
    lingerMs: config.TOPIC_LINGER_MS,
    topicRefreshMs: config.TOPIC_REFRESH_MS,
    sessionTimeoutMs: config.SESSION_TIMEOUT_MS,
    heartbeatIntervalMs: config.HEARTBEAT_INTERVAL_MS,
    maxTopics: config.MAX_TOPICS
  }
}

/** What one client may do. */
export function connectionLimits(config: ConfigOf<typeof realtimeSpec>): ConnectionLimits {
  return {
    subscriptions: config.SOCKET_SUBSCRIPTIONS,
    channelsPerProject: config.PROJECT_CHANNELS,
    messagesPer10s: config.MESSAGES_PER_10S
  }
}

/** How WebSockets are kept. */
export function socketSettings(config: ConfigOf<typeof realtimeSpec>): SocketSettings {
  return {
    pingMs: config.PING_MS,
    maxAgeMs: config.CONNECTION_MAX_AGE_MS,
    maxConnections: config.MAX_CONNECTIONS,
    connectionsPerProject: config.PROJECT_CONNECTIONS,
    maxMessageBytes: config.MESSAGE_MAX_BYTES,
    maxBufferedBytes: config.BUFFER_MAX_BYTES
  }
}
