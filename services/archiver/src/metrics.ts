// Series of the archiver beside those of the consumer runtime.
import { counter, gauge, histogram } from '@millrace/observability'

export const archiverMetrics = {
  files: counter({
    name: 'analytics_archive_files_total',
    help: 'Files stored: claimed is part of the archive; moved came too late, another owner archived its range.',
    labels: ['outcome']
  }),
  rows: counter({ name: 'analytics_archive_rows_total', help: 'Records that became part of the archive.' }),
  bytes: counter({
    name: 'analytics_archive_bytes_total',
    help: 'Bytes that became part of the archive: raw in the log, file in the object store.',
    labels: ['form']
  }),
  holes: counter({
    name: 'analytics_archive_holes_total',
    help: 'Offsets without a record: expired was gone before it was read, absent never was a record.',
    labels: ['reason']
  }),
  heldBytes: gauge({
    name: 'analytics_archive_held_bytes',
    help: 'Memory and disk of the ranges that are not files yet.'
  }),
  waitingSeconds: gauge({
    name: 'analytics_archive_oldest_record_seconds',
    help: 'Age of the oldest record that was read and is not part of the archive yet; alarm long before the retention.',
    across: 'max'
  }),
  closeSeconds: histogram({
    name: 'analytics_archive_close_duration_seconds',
    help: 'Time from a range that is due to its file being part of the archive.',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
  }),
  otherLogs: counter({
    name: 'analytics_archive_other_logs_total',
    help: 'Partitions whose log turned out to be another one under the same name; they got a new epoch.'
  }),
  orphans: counter({
    name: 'analytics_archive_orphans_removed_total',
    help: 'Objects removed that never became part of the archive.'
  })
}
