// The client's log lines as ours. Its own idea of severity is not kept: rebalances and retries are daily business, and
// what ends a member or a request reaches the caller as an error anyway.
import kafkajs from 'kafkajs'
import type { logCreator } from 'kafkajs'
import type { Logger } from '@millrace/observability'

/** Parts of the client whose errors point at the network, the address list or credentials. */
const connectionNamespaces: ReadonlySet<string> = new Set(['BrokerPool', 'Cluster', 'ConnectionBuilder'])

/** A log creator for the client: connection errors at warn, everything else at debug. */
export function createKafkaLog(log: Logger): logCreator {
  return () => (entry) => {
    const { message, timestamp: _timestamp, logger: _logger, ...fields } = entry.log
    const loud = entry.level === kafkajs.logLevel.ERROR && connectionNamespaces.has(entry.namespace)
    log[loud ? 'warn' : 'debug']({ kafkajs: entry.namespace, ...fields }, message)
  }
}
