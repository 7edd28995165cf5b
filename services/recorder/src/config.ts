// Settings of the recorder.
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
  logFields,
  ms,
  oneOf,
  postgresFields,
  replayFields,
  str
} from '@millrace/config'
import { metadataPolicies } from './to-row.ts'

// One transaction takes the ready rows of all partitions, so there is nothing to handle concurrently.
const { CONCURRENCY: _oneAtATime, ...groupFields } = consumerFields

export const recorderSpec = {
  ...logFields,
  ...httpFields(4015),
  ...kafkaFields,
  ...letterFields,
  ...enrichFields,
  ...groupFields,
  ...postgresFields,
  ...replayFields,
  CONSUMER_GROUP: str({
    doc: 'Consumer group; two deployments on one cluster need different ones.',
    default: 'record'
  }),
  PROJECTS: list({ doc: 'Only the events of these projects; empty = every project.', default: [] }),
  RETENTION_DAYS: int({
    doc: 'Days that an event stays in raw_events, by its event time; older events are not recorded.',
    default: 90,
    min: 1,
    max: 3_650
  }),
  METADATA: oneOf({
    doc: 'What the column metadata holds: the properties of the event, these and its page, campaign and device, or {}.',
    default: 'properties',
    values: metadataPolicies
  }),
  BATCH_SIZE: int({ doc: 'Rows of one transaction at most.', default: 5_000, min: 1, max: 100_000 }),
  BATCH_BYTES: bytes({
    doc: 'Bytes of events in one transaction at most.',
    default: 16 * 1024 ** 2,
    min: 64 * 1024,
    max: 256 * 1024 ** 2
  }),
  FLUSH_AFTER_MS: ms({ doc: 'Longest wait of an event for its batch to fill.', default: 1_000, min: 1, max: 60_000 }),
  INSERT_TIMEOUT_MS: ms({
    doc: 'Longest transaction; then its rows are inserted again.',
    default: 30_000,
    min: 1_000,
    max: 600_000
  })
}

/** Rules across settings. */
export const recorderRules = [heartbeatRule]
