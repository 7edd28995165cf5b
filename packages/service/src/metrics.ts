// Series that services share: of one that runs as several processes, and of one that answers requests.
import { counter, histogram } from '@millrace/observability'

export const primaryMetrics = {
  restarts: counter({
    name: 'analytics_worker_restarts_total',
    help: 'Worker processes of this service that ended by themselves and were started again.'
  })
}

export const requestMetrics = {
  requests: counter({
    name: 'analytics_api_requests_total',
    help: 'Requests by endpoint and status.',
    labels: ['endpoint', 'status']
  }),
  latency: histogram({
    name: 'analytics_api_latency_seconds',
    help: 'Time from the end of the request body to the reply.',
    labels: ['endpoint'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
  })
}
