// Settings of builds of the live state: those that decide what is counted are the aggregator's.
import { consumerFields, liveStateFields } from '@millrace/config'

export const epochFields = {
  ...liveStateFields,
  SESSION_TIMEOUT_MS: consumerFields.SESSION_TIMEOUT_MS,
  HEARTBEAT_INTERVAL_MS: consumerFields.HEARTBEAT_INTERVAL_MS
}
