// Settings of the comparison of log and sinks.
import { tmpdir } from 'node:os'
import { bytes, liveStateFields, ms, str } from '@millrace/config'

export const reconcileFields = {
  LATENESS_MS: liveStateFields.LATENESS_MS,
  PROCESSOR_GROUP: str({
    doc: 'Consumer group of the processors: a record that is no event has a dead letter of theirs when they are past it.',
    default: 'process'
  }),
  RECONCILE_EVERY_MS: ms({
    doc: 'How often the log is compared with the warehouse, the dead letters and the closed live hours; 0 = never.',
    default: 3_600_000,
    min: 0,
    max: 86_400_000
  }),
  RECONCILE_RANGE_MS: ms({
    doc: 'How far back each comparison reaches; more than two hours and RECONCILE_EVERY_MS, so that no closed hour is left out.',
    default: 4 * 3_600_000,
    min: 60_000,
    max: 7 * 86_400_000
  }),
  RECONCILE_DIR: str({
    doc: 'Folder for the keys that are compared; nothing is left in it by a process that ended. - = the temporary folder.',
    default: '-'
  }),
  RECONCILE_DISK_BYTES: bytes({
    doc: 'Disk for the keys of one project, 200 to 400 bytes a record; of a range that needs more, the newest part is compared.',
    default: 2 * 1024 ** 3,
    min: 1024 ** 2,
    max: 1024 ** 4
  })
}

/** The folder that RECONCILE_DIR names. */
export function reconcileFolder(setting: string): string {
  return setting === '-' ? tmpdir() : setting
}
