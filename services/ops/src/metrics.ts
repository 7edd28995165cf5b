// Series of the operations service.
import { counter, histogram } from '@millrace/observability'

export const opsMetrics = {
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
