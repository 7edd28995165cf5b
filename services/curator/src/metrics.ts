// Series of the curator.
import { counter, gauge, histogram } from '@millrace/observability'

export const curatorMetrics = {
  days: counter({
    name: 'analytics_recount_days_total',
    help: 'Days that were counted from the warehouse; again: asked for anew meanwhile; expired: past the retention; refused: the warehouse has nothing of a day that had events; unsure: its tables were made anew.',
    labels: ['outcome']
  }),
  values: counter({
    name: 'analytics_recount_values_total',
    help: 'Live values of counted days: same; explained (late events, or a day the live state did not see whole); approximate (distinct members); different: nothing explains it.',
    labels: ['outcome']
  }),
  waiting: gauge({
    name: 'analytics_recount_days_waiting',
    help: 'Days that are over and wait to be counted, at most 100 of each project; those of lagging loaders are among them.'
  }),
  seconds: histogram({
    name: 'analytics_recount_duration_seconds',
    help: 'Time to count one day of one project.',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
  }),
  whole: gauge({
    name: 'analytics_warehouse_whole',
    help: '1 while the tables of the warehouse are known to hold everything; 0: they were made anew, and no day is counted until a rebuild has ended.'
  }),
  forgotten: counter({
    name: 'analytics_recount_letters_forgotten_total',
    help: 'Letters that were sent once more and that the log forgot before the loaders had them, as seen since the start; days are counted without them.'
  }),
  passes: counter({
    name: 'analytics_recount_passes_total',
    help: 'Nightly passes over a project.'
  }),
  doubles: counter({
    name: 'analytics_event_doubles_total',
    help: 'Events found by the nightly pass that are visible more than once: their copies differ in day or type.'
  }),
  failures: counter({
    name: 'analytics_curator_failures_total',
    help: 'Tasks that failed and are tried again, by task.',
    labels: ['task']
  })
}
