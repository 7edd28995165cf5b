// The series of the runtime. Workers add domain series only.
import { counter, gauge, histogram } from '@millrace/observability'

export const consumerMetrics = {
  received: counter({
    name: 'analytics_consumer_records_total',
    help: 'Records taken from the log.',
    labels: ['group']
  }),
  processed: counter({
    name: 'analytics_events_processed_total',
    help: 'Records by what became of them: done, skip or dead. A redelivered record counts again.',
    labels: ['group', 'outcome']
  }),
  dropped: counter({
    name: 'analytics_events_dropped_total',
    help: 'Records without effect, by reason; intentional is false when data was lost.',
    labels: ['reason', 'intentional']
  }),
  letters: counter({
    name: 'analytics_dead_letters_total',
    help: 'Dead letters stored, by reason of the failure.',
    labels: ['group', 'reason']
  }),
  stubs: counter({
    name: 'analytics_dead_letter_stubs_total',
    help: 'Dead letters stored without their bytes because the topic refused them.',
    labels: ['group']
  }),
  batchRows: histogram({
    name: 'analytics_consumer_batch_rows',
    help: 'Records in one batch.',
    labels: ['group'],
    buckets: [1, 10, 100, 500, 1_000, 5_000, 10_000, 50_000]
  }),
  handleSeconds: histogram({
    name: 'analytics_processing_duration_seconds',
    help: 'Time of one call of a worker with one batch.',
    labels: ['group'],
    buckets: [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
  }),
  flushes: counter({
    name: 'analytics_consumer_flushes_total',
    help: 'Batches by the limit that cut them.',
    labels: ['group', 'reason']
  }),
  retries: counter({
    name: 'analytics_consumer_retries_total',
    help: 'Waits for a dependency, by what was tried; record: refused records wait to be tried again by themselves.',
    labels: ['group', 'step']
  }),
  stopped: gauge({
    name: 'analytics_consumer_stopped',
    help: '1 while the consumer holds its partitions because too much of what it read was dead: page.',
    labels: ['group']
  }),
  rewinds: counter({
    name: 'analytics_consumer_rewinds_total',
    help: 'Times a sink sent a partition to another position.',
    labels: ['group']
  }),
  stale: counter({
    name: 'analytics_consumer_stale_batches_total',
    help: 'Batches that ended after their partitions were lost; their commit was skipped.',
    labels: ['group']
  }),
  discarded: counter({
    name: 'analytics_consumer_discarded_records_total',
    help: 'Buffered records given up at a rebalance or stop; they are delivered again.',
    labels: ['group']
  }),
  redelivered: counter({
    name: 'analytics_consumer_redelivered_records_total',
    help: 'Records that were fetched twice and ignored once.',
    labels: ['group']
  }),
  rebalances: counter({
    name: 'analytics_consumer_assignments_total',
    help: 'Assignments received.',
    labels: ['group']
  }),
  lanes: gauge({
    name: 'analytics_consumer_lanes',
    help: 'Partitions held, by state.',
    labels: ['group', 'state']
  }),
  lag: gauge({
    name: 'analytics_queue_depth',
    help: 'Records behind the end of the log, over all topics of the group.',
    labels: ['group', 'partition']
  })
}
