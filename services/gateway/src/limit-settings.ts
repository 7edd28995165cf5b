// Settings of what the gateway takes on: rates, bytes, connections, keys, processes.
import { bytes, int, ms, secret } from '@millrace/config'
import type { ConfigOf } from '@millrace/config'
import type { EventRate } from '@millrace/contracts'

export const limitFields = {
  WORKERS: int({
    doc: 'Processes that share the port; the bounds of bytes and connections are those of each of them.',
    default: 1,
    min: 1,
    max: 256
  }),
  RATE_LIMIT_EVENTS_PER_SECOND: int({
    doc: 'Events per second of a project that sets no rate of its own; 0 is no limit.',
    default: 0,
    max: 1_000_000_000
  }),
  RATE_LIMIT_BURST: int({
    doc: 'Events that such a project may send at once; 0 is twice the rate.',
    default: 0,
    max: 1_000_000_000
  }),
  INTAKE_BYTES: bytes({
    doc: 'Bytes of request bodies in this process at a time; above it requests are turned away with 503, unread.',
    default: 64 * 1024 ** 2,
    min: 4 * 1024 ** 2,
    max: 4 * 1024 ** 3
  }),
  INTAKE_PROJECT_PERCENT: int({
    doc: 'Share of these bytes that one project may take.',
    default: 25,
    min: 1,
    max: 100
  }),
  SHED_LAG_MS: ms({
    doc: 'Lag of the event loop above which requests are turned away with 503; 0 never does.',
    default: 200,
    max: 10_000
  }),
  CONNECTIONS_PER_ADDRESS: int({
    doc: 'Connections that one address may hold; more are closed at once. 0 is no limit; behind a proxy leave it so.',
    default: 0,
    max: 100_000
  }),
  KEY_FRESH_MS: ms({
    doc: 'How long a key, and the settings and schemas of its project, are believed without asking PostgreSQL again.',
    default: 60_000,
    min: 100,
    max: 60_000
  }),
  ADMIN_TOKEN: secret({
    doc: 'Token of the administration endpoints, as `Authorization: Bearer`; without one they are off.',
    default: ''
  })
}

/** The rate of projects that set none; undefined is no limit. */
export function defaultRate(config: ConfigOf<typeof limitFields>): EventRate | undefined {
  const { RATE_LIMIT_EVENTS_PER_SECOND: eventsPerSecond, RATE_LIMIT_BURST: burst } = config
  return eventsPerSecond === 0 ? undefined : { eventsPerSecond, burst: burst === 0 ? eventsPerSecond * 2 : burst }
}
