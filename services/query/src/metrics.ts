// Series of the query service.
import { counter, gauge, histogram } from '@millrace/observability'

export const queryMetrics = {
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
  }),
  running: gauge({ name: 'analytics_query_running', help: 'Queries that run in the engine now.' }),
  queued: gauge({ name: 'analytics_query_queued', help: 'Queries that wait for a place.' }),
  readRows: counter({ name: 'analytics_query_read_rows_total', help: 'Rows read by finished queries.' })
}
