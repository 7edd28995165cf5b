// Series of the aggregator beside those of the consumer runtime.
import { counter, gauge } from '@millrace/observability'

export const aggregatorMetrics = {
  applied: counter({
    name: 'analytics_aggregator_events_total',
    help: 'Events by what became of them: counted, duplicate, late, or closed (their hour of counted ids is deleted).',
    labels: ['outcome']
  }),
  expired: counter({
    name: 'analytics_aggregator_expired_offsets_total',
    help: 'Offsets that retention took before they were applied.'
  }),
  badValues: counter({
    name: 'analytics_aggregator_bad_values_total',
    help: 'Values of sums, minima and maxima that are no number or too large; their events are in no such value.'
  }),
  calls: counter({
    name: 'analytics_aggregator_script_calls_total',
    help: 'Calls of the apply script, repeated folds included.'
  }),
  rewinds: counter({
    name: 'analytics_aggregator_rewinds_total',
    help: 'Times that a partition read on from the position in Redis, by why.',
    labels: ['reason']
  }),
  closed: counter({
    name: 'analytics_aggregator_closed_total',
    help: 'Windows and sessions that were closed.'
  }),
  deleted: counter({
    name: 'analytics_aggregator_deleted_total',
    help: 'Windows, sessions and hours of counted ids that were deleted.'
  }),
  emitted: counter({
    name: 'analytics_aggregator_emitted_total',
    help: 'Messages produced and acknowledged, by what they are.',
    labels: ['what']
  }),
  dirty: gauge({
    name: 'analytics_aggregator_waiting_values',
    help: 'Windows and sessions that wait for their emission.',
    labels: ['what']
  }),
  clockLag: gauge({
    name: 'analytics_aggregator_clock_lag_seconds',
    help: 'Age of the oldest clock of an owned partition; windows close by it.',
    across: 'max'
  }),
  missedDefinitions: counter({
    name: 'analytics_aggregator_missed_definitions_total',
    help: 'Versions of metrics that had begun to count before they were read: PostgreSQL was away. A new epoch mends them.'
  }),
  halted: gauge({
    name: 'analytics_aggregator_halted_projects',
    help: 'Projects whose live state takes nothing until a new epoch is built: torn, of another log, or of a wrong type.',
    labels: ['reason']
  })
}
