// Series of the operations service.
import { counter, gauge, histogram } from '@millrace/observability'
import { requestMetrics } from '@millrace/service'

export const opsMetrics = requestMetrics

export const monitorMetrics = {
  lagRecords: gauge({
    name: 'analytics_lag_records',
    help: 'Records between the sink of a group and the end of the log, by partition number over all topics.',
    labels: ['group', 'partition']
  }),
  lagSeconds: gauge({
    name: 'analytics_lag_seconds',
    help: 'Age of the next record of a group, by partition number the oldest of all topics; 0 when there is none.',
    labels: ['group', 'partition'],
    across: 'max'
  }),
  oldest: gauge({
    name: 'analytics_oldest_unprocessed_seconds',
    help: 'Age of the oldest event that the sink of a group does not have.',
    labels: ['group'],
    across: 'max'
  }),
  produceRate: gauge({
    name: 'analytics_partition_produce_rate',
    help: 'Records appended per second over the last minute, by partition number over all topics.',
    labels: ['partition']
  }),
  partitions: gauge({
    name: 'analytics_partitions_in_trouble',
    help: 'Partitions of a group that were behind, or hot, in most samples of the last five minutes.',
    labels: ['group', 'state']
  }),
  leaderChanges: counter({
    name: 'analytics_leader_changes_total',
    help: 'Partitions that were led by another broker than at the look before.'
  }),
  samples: counter({
    name: 'analytics_monitor_samples_total',
    help: 'Looks at the log: taken, or failed because nobody told its heads.',
    labels: ['outcome']
  }),
  sampleSeconds: histogram({
    name: 'analytics_monitor_sample_seconds',
    help: 'Time of one look.',
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
  }),
  sourceFailures: counter({
    name: 'analytics_monitor_source_failures_total',
    help: 'Times that the position of a group could not be asked for.',
    labels: ['group']
  }),
  alerts: gauge({
    name: 'analytics_alerts_active',
    help: 'Alerts about lag that are active, by kind.',
    labels: ['kind']
  }),
  deliveries: counter({
    name: 'analytics_alert_deliveries_total',
    help: 'Messages to the webhook for alerts: delivered, retried, given-up.',
    labels: ['outcome']
  })
}

export const canaryMetrics = {
  latency: histogram({
    name: 'analytics_canary_latency_seconds',
    help: 'Time from sending a canary event to its answer (accepted), to the live metric on a WebSocket (live), and to SQL (sql).',
    labels: ['stage'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
  }),
  age: gauge({
    name: 'analytics_canary_age_seconds',
    help: 'Time since a canary event arrived at the stage; since the start while none has.',
    labels: ['stage'],
    across: 'max'
  }),
  events: counter({
    name: 'analytics_canary_events_total',
    help: 'Canary events by what became of them: arrived everywhere, missed at a stage within a minute, or refused by the gateway.',
    labels: ['outcome']
  })
}

export const storeMetrics = {
  evicted: counter({
    name: 'analytics_redis_evicted_keys_total',
    help: 'Keys that a Redis took out because it was full, by role; of dedup and state not one may be.',
    labels: ['role']
  }),
  memory: gauge({
    name: 'analytics_redis_memory_ratio',
    help: 'Memory of a Redis by role, of what it may have; 0 when it has no bound.',
    labels: ['role'],
    across: 'max'
  }),
  diskFree: gauge({
    name: 'analytics_warehouse_disk_free_ratio',
    help: 'Free part of the fullest disk of the warehouse.',
    across: 'max'
  }),
  unreachable: gauge({
    name: 'analytics_store_unreachable',
    help: '1 while a store does not answer this service.',
    labels: ['store'],
    across: 'max'
  })
}

export const reconcileMetrics = {
  differences: gauge({
    name: 'analytics_reconcile_differences',
    help: 'Events that a sink lacks or has twice, of the last reconciliation of each project.',
    labels: ['sink'],
    across: 'max'
  }),
  age: gauge({
    name: 'analytics_reconcile_age_seconds',
    help: 'Time since a reconciliation of all projects was finished, by any process; since the first look while none was.',
    across: 'max'
  }),
  projects: counter({
    name: 'analytics_reconcile_projects_total',
    help: 'Reconciliations of a project: compared, cut (its newest part was), refused by a limit, or failed.',
    labels: ['outcome']
  })
}
