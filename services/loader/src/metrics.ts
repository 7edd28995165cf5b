// Series of the loader beside those of the consumer runtime.
import { counter, histogram } from '@millrace/observability'

export const loaderMetrics = {
  rows: counter({
    name: 'analytics_loader_rows_inserted_total',
    help: 'Rows of events that ClickHouse took with a clean reply; a repeated insert counts again.'
  }),
  sideRows: counter({
    name: 'analytics_loader_side_rows_inserted_total',
    help: 'Rows of the tables beside the events, by table: links, and first sightings folded over a batch.',
    labels: ['table']
  }),
  bytes: counter({
    name: 'analytics_loader_bytes_inserted_total',
    help: 'Bytes of all those rows as they were sent.'
  }),
  doubtful: counter({
    name: 'analytics_loader_doubtful_inserts_total',
    help: 'Inserts without a clean reply, by reason; their rows are inserted again.',
    labels: ['reason']
  }),
  apart: counter({
    name: 'analytics_loader_batches_apart_total',
    help: 'Batches of too many months for one insert of this server, inserted month by month.'
  }),
  insertSeconds: histogram({
    name: 'analytics_loader_insert_duration_seconds',
    help: 'Time of one insert into one table until its reply.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
  })
}
