// Settings of the canary. It is off until it knows where to go.
import { ms, str } from '@millrace/config'

export const canaryFields = {
  GATEWAY_URL: str({
    doc: 'Gateway that canary events are sent to, as http://host:port; empty: no canary.',
    default: ''
  }),
  QUERY_URL: str({ doc: 'Query service that is asked for canary events; empty: no canary.', default: '' }),
  REALTIME_URL: str({ doc: 'Live feed that shows canary events; empty: no canary.', default: '' }),
  CANARY_EVERY_MS: ms({ doc: 'Time between two canary events.', default: 30_000, min: 200, max: 3_600_000 }),
  CANARY_TIMEOUT_MS: ms({
    doc: 'A canary event that has not arrived everywhere by then is given up as missed.',
    default: 60_000,
    min: 1_000,
    max: 600_000
  })
}
