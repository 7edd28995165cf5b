// Series of the query service.
import { counter, gauge } from '@millrace/observability'
import { requestMetrics } from '@millrace/service'

export const queryMetrics = {
  ...requestMetrics,
  running: gauge({ name: 'analytics_query_running', help: 'Queries that run in the engine now.', labels: ['lane'] }),
  queued: gauge({ name: 'analytics_query_queued', help: 'Queries that wait for a place.', labels: ['lane'] }),
  bytesHeld: gauge({ name: 'analytics_query_bytes_held', help: 'Bytes of large answers in memory now.' }),
  asked: counter({
    name: 'analytics_query_engine_total',
    help: 'Queries that were sent to the engine.',
    labels: ['lane']
  }),
  refused: counter({
    name: 'analytics_query_refused_total',
    help: 'Queries that found no place.',
    labels: ['lane', 'priority']
  }),
  readRows: counter({ name: 'analytics_query_read_rows_total', help: 'Rows read by finished queries.' }),
  readBytes: counter({
    name: 'analytics_query_read_bytes_total',
    help: 'Bytes read by queries, estimated where not told.'
  }),
  limited: counter({
    name: 'analytics_query_limited_total',
    help: 'Queries answered 429: their project had read more than it may.'
  }),
  audited: counter({ name: 'analytics_query_audit_rows_total', help: 'Rows of the query audit that were written.' }),
  auditDropped: counter({
    name: 'analytics_query_audit_dropped_total',
    help: 'Rows of the query audit that are not written. rate: more than a project may have in a second; full: PostgreSQL is away or late; refused: it refuses them; end: it was away when the process ended.',
    labels: ['reason']
  }),
  cache: counter({
    name: 'analytics_query_cache_total',
    help: 'Replies by where they came from: hit, miss, stale, bypass.',
    labels: ['use']
  }),
  cacheBad: counter({
    name: 'analytics_query_cache_bad_total',
    help: 'Answers found in the cache and not used. mismatch: it belongs to another project or question; alarm.',
    labels: ['kind']
  }),
  refreshes: counter({
    name: 'analytics_query_cache_refreshes_total',
    help: 'Answers made anew behind, before their time was over.'
  }),
  breaker: gauge({
    name: 'analytics_breaker_state',
    help: 'State of a breaker: 0 closed, 1 half-open, 2 open.',
    labels: ['breaker'],
    across: 'max'
  }),
  breakerCalls: counter({
    name: 'analytics_breaker_calls_total',
    help: 'Calls behind a breaker: success, failure, timeout; refused: not made, it was open; gone: their caller gave up.',
    labels: ['breaker', 'outcome']
  })
}
