// Settings of the aggregator.
import {
  bytes,
  consumerFields,
  enrichFields,
  heartbeatRule,
  httpFields,
  int,
  kafkaFields,
  letterFields,
  list,
  liveStateFields,
  logFields,
  ms,
  oneOf,
  postgresFields,
  redisStateFields,
  str
} from '@millrace/config'
import type { ConfigOf } from '@millrace/config'

const day = 86_400_000

export const aggregatorSpec = {
  ...logFields,
  ...httpFields(4012),
  ...kafkaFields,
  ...letterFields,
  ...consumerFields,
  ...postgresFields,
  ...redisStateFields,
  ...enrichFields,
  CONSUMER_GROUP: str({
    doc: 'Consumer group; two deployments on one cluster need different ones, and a live state of their own.',
    default: 'aggregate'
  }),
  PROJECTS: list({ doc: 'Only the events of these projects; empty = every project.', default: [] }),
  TOPIC_PROFILE: oneOf({
    doc: 'Profile of topics.yaml under which topics of metrics and sessions are created.',
    default: 'local',
    values: ['local', 'production']
  }),
  ...liveStateFields,
  BATCH_SIZE: int({ doc: 'Events of one partition folded at once at most.', default: 5_000, min: 1, max: 50_000 }),
  BATCH_BYTES: bytes({
    doc: 'Bytes of one partition folded at once at most.',
    default: 8 * 1024 ** 2,
    min: 64 * 1024,
    max: 256 * 1024 ** 2
  }),
  FLUSH_AFTER_MS: ms({ doc: 'Longest wait of an event for others to fold it with.', default: 50, min: 1, max: 10_000 }),
  FLUSH_BEHIND_MS: ms({
    doc: 'That wait while the partition has more to read.',
    default: 2_000,
    min: 1,
    max: 60_000
  }),
  REDIS_TIMEOUT_MS: ms({ doc: 'Longest script; then it is called again.', default: 5_000, min: 50, max: 60_000 }),
  CHECK_EVERY_MS: ms({
    doc: 'Owners compare pointer and positions with Redis this often.',
    default: 5_000,
    min: 50,
    max: 60_000
  }),
  CLOCK_EVERY_MS: ms({
    doc: 'The clock of a partition without new events is moved, and what is due closed and deleted, this often.',
    default: 1_000,
    min: 50,
    max: 60_000
  }),
  CLOCK_MARGIN_MS: ms({
    doc: 'What the clocks of brokers and of this process may differ by.',
    default: 5_000,
    min: 0,
    max: day
  }),
  REPLICA_LAG_MS: ms({
    doc: 'On replicated topics an end offset may be this old: 1.5 times replica.lag.time.max.ms of the brokers.',
    default: 45_000,
    min: 0,
    max: day
  }),
  EMIT_EVERY_MS: ms({ doc: 'Changed values are emitted this often at most.', default: 250, min: 10, max: 60_000 })
}

/** Rules across settings. */
export const aggregatorRules = [heartbeatRule]

/** The settings after loading. */
export type AggregatorConfig = ConfigOf<typeof aggregatorSpec>
