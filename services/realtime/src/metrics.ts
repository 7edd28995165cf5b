// Series of the live feed.
import { counter, gauge, histogram } from '@millrace/observability'

export const realtimeMetrics = {
  tickets: counter({
    name: 'analytics_realtime_tickets_total',
    help: 'Requests for a ticket by the status of the answer.',
    labels: ['status']
  }),
  upgrades: counter({
    name: 'analytics_realtime_upgrades_total',
    help: 'Connections that were asked for, by what became of them.',
    labels: ['outcome']
  }),
  connections: gauge({ name: 'analytics_realtime_connections', help: 'Open WebSockets.' }),
  closed: counter({
    name: 'analytics_realtime_closed_total',
    help: 'Connections that ended: `closed` in order or by the client, `silent` without a pong, `unread` asking and not reading, `key` with the key that asked for the ticket.',
    labels: ['reason']
  }),
  refused: counter({
    name: 'analytics_realtime_refused_total',
    help: 'Messages of clients that were refused, by problem code.',
    labels: ['code']
  }),
  channels: gauge({ name: 'analytics_realtime_channels', help: 'Different subscriptions that somebody watches.' }),
  frames: counter({
    name: 'analytics_realtime_frames_total',
    help: 'Frames for clients by kind; a frame to a thousand clients counts a thousand.',
    labels: ['kind']
  }),
  bytes: counter({ name: 'analytics_realtime_frame_bytes_total', help: 'Bytes of those frames.' }),
  behind: counter({
    name: 'analytics_realtime_behind_total',
    help: 'Times that a client read too slowly and was left out until it had caught up.'
  }),
  resynced: counter({
    name: 'analytics_realtime_resynced_total',
    help: 'Times that a client which had caught up got fresh snapshots.'
  }),
  skipped: counter({
    name: 'analytics_realtime_skipped_total',
    help: 'Records and events that were not passed on, by reason; leaving them out is intended.',
    labels: ['reason']
  }),
  tickLag: histogram({
    name: 'analytics_realtime_tick_lag_seconds',
    help: 'How much later than due a round of frames began.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]
  }),
  tickSeconds: histogram({
    name: 'analytics_realtime_tick_seconds',
    help: 'Time that a round of frames took.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5]
  }),
  stale: gauge({
    name: 'analytics_realtime_stale',
    help: '1 while the log is away and every channel is marked stale.',
    across: 'max'
  })
}
