// The dashboards: what the edge takes, what the workers do with it, what readers get, and what the business sees.
import type { Dashboard, Query, Unit } from './grafana.ts'

const rate = (series: string, by = ''): string =>
  `sum${by === '' ? '' : ` by (${by})`} (rate(${series}[$__rate_interval]))`

const quantile = (share: number, histogram: string, by = '', labels = ''): string =>
  `histogram_quantile(${share}, sum by (${by === '' ? '' : `${by}, `}le) (rate(${histogram}_bucket${labels}[$__rate_interval])))`

/** p50, p95 and p99 of a histogram. */
const spread = (histogram: string, labels = ''): readonly Query[] =>
  [0.5, 0.95, 0.99].map((share) => ({ expr: quantile(share, histogram, '', labels), legend: `p${share * 100}` }))

const lines = (title: string, help: string, unit: Unit, ...queries: readonly Query[]) => ({
  title,
  help,
  unit,
  queries
})

const collector: Dashboard = {
  uid: 'millrace-collector',
  title: 'Collector metrics',
  rows: [
    {
      title: 'Intake',
      panels: [
        lines(
          'Events per second',
          'Taken: passed the checks. Stored: acknowledged by the log and answered 202.',
          'eps',
          { expr: rate('analytics_events_received_total'), legend: 'taken' },
          { expr: rate('analytics_events_queued_total'), legend: 'stored' },
          { expr: rate('analytics_events_duplicate_total'), legend: 'duplicates' }
        ),
        lines('Event types', 'The hundred busiest types; the rest is `other`.', 'eps', {
          expr: `topk(10, ${rate('analytics_events_received_total', 'type')})`,
          legend: '{{type}}'
        }),
        {
          ...lines(
            'Latency',
            'From the head of a request to its answer.',
            's',
            ...spread('analytics_api_latency_seconds', '{job="gateway"}')
          ),
          red: 0.5
        },
        lines('Refused', 'What clients send wrong, by problem code: they have to mend it.', 'eps', {
          expr: rate('analytics_events_rejected_total', 'code'),
          legend: '{{code}}'
        }),
        lines(
          'Turned away',
          'Events that clients have to send again, by reason. They are not lost.',
          'eps',
          { expr: rate('analytics_events_unavailable_total', 'reason'), legend: '{{reason}}' },
          { expr: rate('analytics_events_limited_total', 'scope'), legend: 'limit of {{scope}}' }
        ),
        lines('Dropped by rule', 'What rules of operators drop (`millrace drops ls`).', 'eps', {
          expr: rate('analytics_events_dropped_total{reason="drop_rule"}'),
          legend: 'dropped'
        })
      ]
    },
    {
      title: 'Behind the edge',
      panels: [
        lines(
          'Bytes in flight',
          'Bodies being read, and events that wait for Kafka.',
          'bytes',
          { expr: 'sum (analytics_intake_bytes)', legend: 'bodies' },
          { expr: 'sum (analytics_publish_queue_bytes)', legend: 'publish queue' }
        ),
        lines(
          'Events per produce request',
          'More events in a request cost the brokers less.',
          'short',
          { expr: quantile(0.5, 'analytics_batch_size'), legend: 'p50' },
          { expr: quantile(0.95, 'analytics_batch_size'), legend: 'p95' }
        ),
        {
          ...lines('Event loop lag', 'Above 0.2 s requests are turned away.', 's', {
            expr: 'max by (instance) (analytics_event_loop_lag_seconds)',
            legend: '{{instance}}'
          }),
          red: 0.2
        },
        lines(
          'Deduplication',
          'Unchecked: Redis did not answer. Copies may reach the log and are counted once behind it.',
          'eps',
          { expr: rate('analytics_dedup_unchecked_total'), legend: 'unchecked' },
          { expr: rate('analytics_dedup_failures_total', 'operation'), legend: 'failed {{operation}}' }
        ),
        {
          ...lines('Memory of the Redis roles', 'Of what they may have.', 'percentunit', {
            expr: 'max by (role) (analytics_redis_memory_ratio)',
            legend: '{{role}}'
          }),
          red: 0.85
        },
        lines('CPU per event', 'Microseconds of a process for each event that it handles.', 'µs', {
          expr: 'avg by (stage) (analytics_cpu_us_per_event{stage="gateway"})',
          legend: '{{stage}}'
        })
      ]
    }
  ]
}

const processor: Dashboard = {
  uid: 'millrace-processor',
  title: 'Processor metrics',
  rows: [
    {
      title: 'Lag',
      panels: [
        lines(
          'Age of the oldest event that is missing',
          'By the position of the sink. Archivers hold events by design, up to an hour.',
          's',
          { expr: 'max by (group) (analytics_oldest_unprocessed_seconds)', legend: '{{group}}' }
        ),
        lines('Records behind', 'Over all topics and partitions.', 'short', {
          expr: 'sum by (group) (analytics_lag_records)',
          legend: '{{group}}'
        }),
        {
          ...lines('Partitions in trouble', 'Hot: one far behind the others. Behind: all of them.', 'short', {
            expr: 'sum by (group, state) (analytics_partitions_in_trouble)',
            legend: '{{group}} {{state}}'
          }),
          red: 1
        },
        lines('Produced by partition number', 'Even when keys are spread evenly.', 'eps', {
          expr: 'sum by (partition) (analytics_partition_produce_rate)',
          legend: '{{partition}}'
        }),
        lines('Furthest partitions', 'The ten partition numbers that are furthest behind.', 'short', {
          expr: 'topk(10, sum by (group, partition) (analytics_lag_records))',
          legend: '{{group}} {{partition}}'
        }),
        lines('Leader changes', 'Brokers that come and go.', 'short', {
          expr: 'sum (increase(analytics_leader_changes_total[$__rate_interval]))',
          legend: 'changes'
        })
      ]
    },
    {
      title: 'Workers',
      panels: [
        lines('Records per second', 'Taken from the log.', 'eps', {
          expr: rate('analytics_consumer_records_total', 'group'),
          legend: '{{group}}'
        }),
        lines('Time of a batch (p95)', 'One call of a worker with one batch.', 's', {
          expr: quantile(0.95, 'analytics_processing_duration_seconds', 'group'),
          legend: '{{group}}'
        }),
        lines(
          'CPU per event',
          'Microseconds of a process for each event that it handles: what sizing begins with.',
          'µs',
          { expr: 'avg by (stage) (analytics_cpu_us_per_event)', legend: '{{stage}}' }
        ),
        lines('Dead letters', 'By group and reason.', 'eps', {
          expr: rate('analytics_dead_letters_total', 'group, reason'),
          legend: '{{group}} {{reason}}'
        }),
        lines('Waits for a dependency', 'A batch is tried again until its store takes it.', 'eps', {
          expr: rate('analytics_consumer_retries_total', 'group, step'),
          legend: '{{group}} {{step}}'
        }),
        lines('Rebalances', 'Assignments received.', 'eps', {
          expr: rate('analytics_consumer_assignments_total', 'group'),
          legend: '{{group}}'
        }),
        lines(
          'Lost and left out',
          'Lost must be 0: events without the effect that they should have had.',
          'eps',
          { expr: rate('analytics_events_dropped_total{intentional="false"}', 'reason'), legend: 'lost: {{reason}}' },
          { expr: rate('analytics_events_dropped_total{intentional="true"}', 'reason'), legend: '{{reason}}' }
        ),
        lines(
          'Rows of the loader',
          'Rows with a clean reply; doubtful inserts are made again.',
          'eps',
          { expr: rate('analytics_loader_rows_inserted_total'), legend: 'inserted' },
          { expr: rate('analytics_loader_doubtful_inserts_total', 'reason'), legend: 'doubtful: {{reason}}' }
        ),
        lines(
          'Archive',
          'Bytes that became part of it, and what is held for the next files.',
          'bytes',
          { expr: rate('analytics_archive_bytes_total', 'form'), legend: '{{form}} per second' },
          { expr: 'sum (analytics_archive_held_bytes)', legend: 'held' }
        )
      ]
    }
  ]
}

const api: Dashboard = {
  uid: 'millrace-api',
  title: 'API metrics',
  rows: [
    {
      title: 'Requests',
      panels: [
        lines('Requests per second', 'By service.', 'reqps', {
          expr: rate('analytics_api_requests_total', 'job'),
          legend: '{{job}}'
        }),
        {
          ...lines('Answers of 5xx', 'Of all answers.', 'percentunit', {
            expr: `${rate('analytics_api_requests_total{status=~"5.."}', 'job')} / ${rate('analytics_api_requests_total', 'job')}`,
            legend: '{{job}}'
          }),
          red: 0.01
        },
        {
          ...lines('Latency (p95)', 'By service and endpoint.', 's', {
            expr: quantile(0.95, 'analytics_api_latency_seconds', 'job, endpoint'),
            legend: '{{job}} {{endpoint}}'
          }),
          red: 0.5
        }
      ]
    },
    {
      title: 'Queries',
      panels: [
        lines('Where answers came from', 'Hit and stale cost the warehouse nothing.', 'reqps', {
          expr: rate('analytics_query_cache_total', 'use'),
          legend: '{{use}}'
        }),
        lines(
          'In the engine',
          'Running and waiting, by lane.',
          'short',
          { expr: 'sum by (lane) (analytics_query_running)', legend: '{{lane}} running' },
          { expr: 'sum by (lane) (analytics_query_queued)', legend: '{{lane}} waiting' }
        ),
        lines('Refused', 'Queries that found no place.', 'reqps', {
          expr: rate('analytics_query_refused_total', 'lane'),
          legend: '{{lane}}'
        }),
        lines('Rows read', 'By finished queries.', 'short', {
          expr: rate('analytics_query_read_rows_total'),
          legend: 'rows per second'
        }),
        {
          ...lines('Breakers', '0 closed, 1 half-open, 2 open.', 'short', {
            expr: 'max by (breaker) (analytics_breaker_state)',
            legend: '{{breaker}}'
          }),
          red: 2
        },
        lines('Disk of the warehouse', 'Free part of the fullest disk.', 'percentunit', {
          expr: 'min (analytics_warehouse_disk_free_ratio)',
          legend: 'free'
        })
      ]
    },
    {
      title: 'Live feed',
      panels: [
        lines(
          'Connections',
          'Open WebSockets, and different subscriptions.',
          'short',
          { expr: 'sum (analytics_realtime_connections)', legend: 'connections' },
          { expr: 'sum (analytics_realtime_channels)', legend: 'channels' }
        ),
        lines('Frames', 'A frame to a thousand clients counts a thousand.', 'eps', {
          expr: rate('analytics_realtime_frames_total', 'kind'),
          legend: '{{kind}}'
        }),
        lines(
          'Slow readers',
          'Clients that were left out until they had caught up.',
          'eps',
          { expr: rate('analytics_realtime_behind_total'), legend: 'left out' },
          { expr: rate('analytics_realtime_resynced_total'), legend: 'fresh snapshots' }
        )
      ]
    }
  ]
}

const business: Dashboard = {
  uid: 'millrace-business',
  title: 'Business metrics',
  rows: [
    {
      title: 'Do events arrive',
      panels: [
        lines('Canary: time to each stage (p95)', 'An event of our own that goes the way of all others.', 's', {
          expr: quantile(0.95, 'analytics_canary_latency_seconds', 'stage'),
          legend: '{{stage}}'
        }),
        {
          ...lines('Canary: last arrival', 'Seconds since one arrived.', 's', {
            expr: 'max by (stage) (analytics_canary_age_seconds)',
            legend: '{{stage}}'
          }),
          kind: 'stat' as const,
          red: 300
        },
        {
          ...lines(
            'Differences from the log',
            'Events that a sink lacks or has twice, of the last reconciliation.',
            'none',
            { expr: 'max by (sink) (analytics_reconcile_differences)', legend: '{{sink}}' }
          ),
          kind: 'stat' as const,
          red: 1
        },
        {
          ...lines('Alerts about lag', 'Active ones.', 'none', {
            expr: 'sum by (kind) (analytics_alerts_active)',
            legend: '{{kind}}'
          }),
          kind: 'stat' as const,
          red: 1
        },
        {
          ...lines('Services up', 'Processes that answer.', 'none', { expr: 'sum by (job) (up)', legend: '{{job}}' }),
          kind: 'stat' as const
        },
        {
          ...lines('Events stored today', 'Of the last 24 hours.', 'short', {
            expr: 'sum (increase(analytics_events_queued_total[24h]))',
            legend: 'events'
          }),
          kind: 'stat' as const
        }
      ]
    },
    {
      title: 'What they say',
      panels: [
        lines('Busiest event types', 'Events per minute.', 'short', {
          expr: `topk(10, ${rate('analytics_events_received_total', 'type')}) * 60`,
          legend: '{{type}}'
        }),
        lines('Counted live', 'Counted once each; late and repeated ones are known and left out.', 'eps', {
          expr: rate('analytics_aggregator_events_total', 'outcome'),
          legend: '{{outcome}}'
        }),
        lines('Schema mismatches', 'Refused, let pass with a warning, or not checked.', 'eps', {
          expr: rate('analytics_schema_mismatches_total', 'mode'),
          legend: '{{mode}}'
        }),
        lines('Windows and sessions that ended', 'They are final from then on.', 'eps', {
          expr: rate('analytics_aggregator_closed_total'),
          legend: 'closed'
        }),
        lines('Days counted from the warehouse', 'By what came of it.', 'short', {
          expr: 'sum by (outcome) (increase(analytics_recount_days_total[1d]))',
          legend: '{{outcome}}'
        }),
        lines('Live values against the warehouse', 'Different: nothing explains it.', 'short', {
          expr: 'sum by (outcome) (increase(analytics_recount_values_total[1d]))',
          legend: '{{outcome}}'
        })
      ]
    }
  ]
}

/** By file name without its ending. */
export const dashboards: Readonly<Record<string, Dashboard>> = {
  'collector-metrics': collector,
  'processor-metrics': processor,
  'api-metrics': api,
  'business-metrics': business
}
