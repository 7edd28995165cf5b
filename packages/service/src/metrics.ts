// Series of a service that runs as several processes.
import { counter } from '@millrace/observability'

export const primaryMetrics = {
  restarts: counter({
    name: 'analytics_worker_restarts_total',
    help: 'Worker processes of this service that ended by themselves and were started again.'
  })
}
