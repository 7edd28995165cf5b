// Settings of the gateway.
import {
  bool,
  bytes,
  httpFields,
  int,
  kafkaFields,
  list,
  logFields,
  ms,
  postgresFields,
  postgresReplicaFields,
  redisDedupFields,
  replicaLagRule,
  secret,
  str
} from '@millrace/config'
import type { ConfigOf } from '@millrace/config'
import type { DedupSettings } from './dedup.ts'
import { limitFields } from './limit-settings.ts'
import type { PublishLimits } from '@millrace/kafka'

export const gatewaySpec = {
  ...logFields,
  ...httpFields(4001),
  ...kafkaFields,
  ...postgresFields,
  ...postgresReplicaFields,
  ...redisDedupFields,
  ...limitFields,
  API_KEY_PEPPER: secret({ doc: 'Secret that API keys are hashed with; the same for every service and the CLI.' }),
  DEDUP_SHARDS: int({
    doc: 'Hash tags per project that deduplication marks are spread over; a change needs DEDUP_SHARDS_PREVIOUS.',
    default: 1,
    min: 1,
    max: 1_024
  }),
  DEDUP_SHARDS_PREVIOUS: int({
    doc: 'The value before a change: its marks are looked up too. Remove it when a window and a quarter have passed.',
    default: 0,
    min: 0,
    max: 1_024
  }),
  DEDUP_WINDOW_MS: ms({
    doc: 'How long a stored event is recognised at least; at most a quarter longer. A change forgets the marks there are.',
    default: 24 * 3_600_000,
    min: 60_000,
    max: 7 * 86_400_000
  }),
  DEDUP_LEASE_MS: ms({
    doc: 'Longest time that a gateway which died keeps an event from being sent again.',
    default: 30_000,
    min: 15_000,
    max: 300_000
  }),
  EVENT_MAX_BYTES: bytes({ doc: 'Largest event.', default: 256 * 1024, min: 1_024, max: 512 * 1024 }),
  PUBLISH_QUEUE_BYTES: bytes({
    doc: 'Bytes of events that may wait for Kafka; above it events are turned away with 503.',
    default: 64 * 1024 ** 2,
    min: 1024 ** 2,
    max: 1024 ** 3
  }),
  PUBLISH_LINGER_MS: ms({
    doc: 'Longest wait of an event for others to share its produce request, while one to the same broker is under way.',
    default: 5,
    min: 0,
    max: 100
  }),
  PUBLISH_STALL_MS: ms({
    doc: 'Silence of Kafka after which waiting events are turned away with 503.',
    default: 2_000,
    min: 100,
    max: 10_000
  }),
  COLLECT_USER_AGENT: bool({ doc: 'Store the User-Agent header of the request with the event.', default: true }),
  COLLECT_IP: bool({ doc: 'Store the address of the client with the event.', default: false }),
  COUNTRY_HEADER: str({
    doc: 'Header in which a proxy tells the country of the client, such as cf-ipcountry; stored with the event. Only behind a proxy that sets it. Empty: none.',
    default: '',
    pattern: /^[A-Za-z0-9-]*$/
  }),
  CORS_ORIGINS: list({
    doc: 'Origins whose pages may send events to projects that name none themselves; `*` is any.',
    default: ['*']
  }),
  TRUST_PROXY: bool({
    doc: 'Take the address of the client from X-Forwarded-For; only behind a proxy that sets it.',
    default: false
  })
}

/** Rules across settings. */
export const gatewayRules = [replicaLagRule]

/**
 * How long the producer waits for an ack: well inside the lease, so that a lease never has to be renewed, and longer than
 * the client waits for its answer, so that a late ack still writes its mark.
 */
export function ackTimeoutMs(leaseMs: number): number {
  return Math.min(20_000, leaseMs - 10_000)
}

/** How events wait for Kafka. */
export function publishLimits(config: ConfigOf<typeof gatewaySpec>): Partial<PublishLimits> {
  return {
    maxQueuedBytes: config.PUBLISH_QUEUE_BYTES,
    maxAgeMs: config.PUBLISH_STALL_MS,
    lingerMs: config.PUBLISH_LINGER_MS
  }
}

/** How long marks are waited for and tried again. */
export const dedupSettings: DedupSettings = {
  commitWaitMs: 50,
  restMs: 1_000,
  markRetryMs: 300_000,
  maxLateMarks: 50_000
}
