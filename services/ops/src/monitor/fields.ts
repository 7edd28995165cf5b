// Settings of the monitor.
import { list, ms, secret, str } from '@millrace/config'

export const monitorFields = {
  MONITOR_EVERY_MS: ms({
    doc: 'Time between two looks at the log and where the groups stand in it.',
    default: 10_000,
    min: 100,
    max: 10_000
  }),
  MONITOR_GROUPS: list({
    doc: 'Consumer groups whose commits are their position; `-`: none.',
    default: ['process', 'load', 'record']
  }),
  AGGREGATOR_GROUP: str({
    doc: 'Group of the aggregators, whose position is in Redis; `-`: not looked at.',
    default: 'aggregate'
  }),
  ARCHIVER_GROUP: str({
    doc: 'Group of the archivers, whose position is in PostgreSQL; `-`: not looked at.',
    default: 'archive'
  }),
  ARCHIVE_HELD_MS: ms({
    doc: 'How long archivers hold records of a quiet partition (their TAIL_AFTER_MS): only then they are behind.',
    default: 3_600_000,
    min: 0,
    max: 86_400_000
  }),
  ALERT_WEBHOOK_URL: secret({ doc: 'Where alerts are posted as JSON; empty: only to the log.', default: '' }),
  ALERT_WEBHOOK_HOSTS: list({
    doc: 'Hosts that alerts may be posted to; empty: only that of ALERT_WEBHOOK_URL.',
    default: []
  }),
  ALERT_WEBHOOK_PRIVATE: list({
    doc: 'Ranges of private addresses that alerts may be posted to, such as 10.1.0.0/16; by default none.',
    default: []
  })
}
