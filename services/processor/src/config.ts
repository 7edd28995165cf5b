// Settings of the processor.
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
  replayFields,
  str
} from '@millrace/config'

export const processorSpec = {
  ...logFields,
  ...httpFields(4011),
  ...kafkaFields,
  ...letterFields,
  ...enrichFields,
  ...consumerFields,
  ...replayFields,
  CONSUMER_GROUP: str({
    doc: 'Consumer group; two deployments on one cluster need different ones.',
    default: 'process'
  }),
  PROJECTS: list({ doc: 'Only the events of these projects; empty = every project.', default: [] }),
  BATCH_SIZE: int({ doc: 'Events of one partition in a produce request at most.', default: 500, min: 1, max: 10_000 }),
  BATCH_BYTES: bytes({
    doc: 'Bytes of events in a produce request at most.',
    default: 1024 ** 2,
    min: 1024,
    max: 64 * 1024 ** 2
  }),
  FLUSH_AFTER_MS: ms({ doc: 'Longest wait of an event for its batch to fill.', default: 20, min: 1, max: 10_000 })
}

/** Rules across settings. */
export const processorRules = [heartbeatRule]
