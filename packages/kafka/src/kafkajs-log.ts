// The client's log lines as ours, all at debug: its rebalances and retries are daily business, and whatever ends a
// request or a member reaches us as an error that is logged once, with its meaning.
import type { logCreator } from 'kafkajs'
import type { Logger } from '@millrace/observability'

/** A log creator for the client. */
export function createKafkaLog(log: Logger): logCreator {
  return () => (entry) => {
    const { message, timestamp: _timestamp, logger: _logger, ...fields } = entry.log
    log.debug({ kafkajs: entry.namespace, ...fields }, message)
  }
}
