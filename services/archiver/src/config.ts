// Settings of the archiver.
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  bytes,
  consumerFields,
  heartbeatRule,
  httpFields,
  int,
  kafkaFields,
  list,
  logFields,
  ms,
  objectStoreFields,
  postgresFields,
  str
} from '@millrace/config'
import type { ConfigOf } from '@millrace/config'
import type { ConsumerSettings } from '@millrace/consumer'
import type { RangeLimits } from './range.ts'

export const archiverSpec = {
  ...logFields,
  ...httpFields(4013),
  ...kafkaFields,
  ...consumerFields,
  ...postgresFields,
  ...objectStoreFields,
  CONSUMER_GROUP: str({
    doc: 'Consumer group; two deployments on one cluster need different ones.',
    default: 'archive'
  }),
  PROJECTS: list({ doc: 'Only the events of these projects; empty = every project.', default: [] }),
  SPOOL_DIR: str({
    doc: 'Folder for files in the making; nothing is left in it by a process that ended. - = the temporary folder.',
    default: '-'
  }),
  FILE_BYTES: bytes({
    doc: 'A file is closed when its records have this many bytes in the log.',
    default: 128 * 1024 ** 2,
    min: 1024,
    max: 1024 ** 3
  }),
  GROUP_ROWS: int({ doc: 'Rows of one row group at most.', default: 20_000, min: 100, max: 100_000 }),
  HELD_BYTES: bytes({
    doc: 'Memory and disk of all files in the making together; above it the largest is closed first.',
    default: 256 * 1024 ** 2,
    min: 64 * 1024,
    max: 16 * 1024 ** 3
  }),
  FILE_AFTER_MS: ms({
    doc: 'A file with at least SMALL_BYTES is closed when its first record is this old.',
    default: 900_000,
    min: 100,
    max: 86_400_000
  }),
  SMALL_BYTES: bytes({
    doc: 'A file with fewer bytes of records is the tail of a quiet partition.',
    default: 1024 ** 2,
    min: 0,
    max: 1024 ** 3
  }),
  TAIL_AFTER_MS: ms({
    doc: 'The tail of a quiet partition is closed when its first record is this old.',
    default: 3_600_000,
    min: 100,
    max: 86_400_000
  }),
  ORPHANS_AFTER_MS: ms({
    doc: 'Objects that never became part of the archive are removed at this age.',
    default: 86_400_000,
    min: 1_000
  }),
  ORPHANS_EVERY_MS: ms({ doc: 'Time between two looks for such objects.', default: 21_600_000, min: 1_000 })
}

/** Rules across settings. */
export const archiverRules = [heartbeatRule, tailRule]

/** A tail that is closed earlier than a full range would make the small files that it is there to avoid. */
function tailRule(config: { readonly FILE_AFTER_MS: number; readonly TAIL_AFTER_MS: number }): string | undefined {
  const { FILE_AFTER_MS, TAIL_AFTER_MS } = config
  return TAIL_AFTER_MS >= FILE_AFTER_MS ? undefined : 'TAIL_AFTER_MS must be at least FILE_AFTER_MS'
}

/** The folder that SPOOL_DIR names. */
export function spoolFolder(setting: string): string {
  return setting === '-' ? join(tmpdir(), 'millrace-archiver') : setting
}

/** What the consumer buffers before it hands records over; from there they go to the encoding thread. */
export const batchLimits = { maxRows: 5_000, maxBytes: 4 * 1024 ** 2, maxAgeMs: 500 }

/** A group of large records is written before it is full. */
export const groupBytes = 32 * 1024 ** 2

type Config = ConfigOf<typeof archiverSpec>

/** When ranges become files. */
export function rangeLimits(config: Config): RangeLimits {
  return {
    fileBytes: config.FILE_BYTES,
    flushAfterMs: config.FILE_AFTER_MS,
    smallBytes: config.SMALL_BYTES,
    tailAfterMs: config.TAIL_AFTER_MS,
    totalBytes: config.HELD_BYTES
  }
}

/** The limits of the consumer. */
export function consumerSettings(config: Config): Partial<ConsumerSettings> {
  return {
    concurrency: config.CONCURRENCY,
    // One file to store and one to encode, and those of others when the budget is used up.
    maxHandleMs: config.OBJECT_STORE_TIMEOUT_MS * 4,
    // Records wait in ranges, not here: eight partitions at once would hold eight decompressed fetches.
    totalBytes: batchLimits.maxBytes * 4,
    maxBytesPerPartition: 256 * 1024,
    sessionTimeoutMs: config.SESSION_TIMEOUT_MS,
    heartbeatIntervalMs: config.HEARTBEAT_INTERVAL_MS,
    topicRefreshMs: config.TOPIC_REFRESH_MS
  }
}
