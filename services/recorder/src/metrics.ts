// Series of the recorder beside those of the consumer runtime.
import { counter, histogram } from '@millrace/observability'

export const recorderMetrics = {
  rows: counter({
    name: 'analytics_recorder_rows_total',
    help: 'Rows of committed transactions: inserted, or present before (a copy, or a batch seen again).',
    labels: ['outcome']
  }),
  expired: counter({
    name: 'analytics_recorder_days_dropped_total',
    help: 'Days of raw_events dropped because they are older than the retention.'
  }),
  insertSeconds: histogram({
    name: 'analytics_recorder_insert_duration_seconds',
    help: 'Time of one transaction until its commit.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
  })
}
