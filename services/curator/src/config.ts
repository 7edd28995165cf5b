// Settings of the curator.
import {
  clickhouseFields,
  httpFields,
  int,
  kafkaFields,
  list,
  liveStateFields,
  logFields,
  ms,
  postgresFields,
  str
} from '@millrace/config'

const { CONVERSION_TYPES, LATENESS_MS } = liveStateFields

export const curatorSpec = {
  ...logFields,
  ...httpFields(4016),
  ...kafkaFields,
  ...postgresFields,
  ...clickhouseFields,
  CONVERSION_TYPES,
  LATENESS_MS,
  PROJECTS: list({ doc: 'Only these projects; empty = every project.', default: [] }),
  LOADER_GROUP: str({ doc: 'Consumer group of the loaders: a day is counted when they are past it.', default: 'load' }),
  CHECK_EVERY_MS: ms({ doc: 'Time between looks for days to count.', default: 10_000, min: 50, max: 3_600_000 }),
  SETTLE_MS: ms({
    doc: 'A day is counted this long after its last event could be on time, and after it was asked for: clocks differ.',
    default: 60_000,
    min: 0,
    max: 86_400_000
  }),
  PASS_AFTER_MS: ms({
    doc: 'The nightly pass over the days that got events begins this long after midnight (UTC).',
    default: 3 * 3_600_000,
    min: 0,
    max: 86_399_000
  }),
  DOUBLES_DAYS: int({
    doc: 'The nightly pass compares new events with those appended this many days before, to find doubles.',
    default: 7,
    min: 1,
    max: 365
  }),
  QUERY_TIMEOUT_MS: ms({ doc: 'Longest question to the warehouse.', default: 120_000, min: 1_000, max: 3_600_000 })
}
