// Settings of the loader.
import {
  bytes,
  clickhouseFields,
  consumerFields,
  enrichFields,
  heartbeatRule,
  httpFields,
  int,
  kafkaFields,
  letterFields,
  list,
  logFields,
  ms,
  replayFields,
  str
} from '@millrace/config'

// One insert takes the ready rows of all partitions, and how many overlap is not a matter of taste (main.ts).
const { CONCURRENCY: _oneAtATime, ...groupFields } = consumerFields

export const loaderSpec = {
  ...logFields,
  ...httpFields(4014),
  ...kafkaFields,
  ...letterFields,
  ...enrichFields,
  ...groupFields,
  ...clickhouseFields,
  ...replayFields,
  CONSUMER_GROUP: str({ doc: 'Consumer group; two deployments on one cluster need different ones.', default: 'load' }),
  PROJECTS: list({ doc: 'Only the events of these projects; empty = every project.', default: [] }),
  BATCH_SIZE: int({ doc: 'Rows of one insert at most.', default: 10_000, min: 1, max: 1_000_000 }),
  BATCH_BYTES: bytes({
    doc: 'Bytes of events in one insert at most.',
    default: 32 * 1024 ** 2,
    min: 64 * 1024,
    max: 1024 ** 3
  }),
  FLUSH_AFTER_MS: ms({ doc: 'Longest wait of an event for its insert to fill.', default: 1_000, min: 1, max: 60_000 }),
  INSERT_TIMEOUT_MS: ms({
    doc: 'Longest insert; then its rows are inserted again.',
    default: 30_000,
    min: 1_000,
    max: 600_000
  })
}

/** Rules across settings. */
export const loaderRules = [heartbeatRule]
