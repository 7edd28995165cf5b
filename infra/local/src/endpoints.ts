// Where the parts of a stack listen, as the environment variables that services read.
import { pathToFileURL } from 'node:url'
import { layout } from './layout.ts'
import { brokerNames } from './part.ts'
import { postgresName } from './postgres-part.ts'
import { clickhouseUser } from './clickhouse-part.ts'
import type { Ports } from './ports.ts'
import type { StackSecrets } from './secrets.ts'
import { hasFields, readState } from './state-file.ts'

/** Environment of a service; passwords are inside the URLs. */
export type Endpoints = Readonly<
  Record<
    | 'KAFKA_BROKERS'
    | 'REDIS_DEDUP_URL'
    | 'REDIS_STATE_URL'
    | 'REDIS_CACHE_URL'
    | 'DATABASE_URL'
    | 'DATABASE_DIRECT_URL'
    | 'CLICKHOUSE_URL'
    | 'OBJECT_STORE_URL',
    string
  >
>

/** The endpoints of a stack with these ports. */
export function toEndpoints(dataDir: string, ports: Ports, secrets: StackSecrets): Endpoints {
  const postgres = `postgres://${postgresName}:${secrets.postgresPassword}@127.0.0.1:${ports.postgres}/${postgresName}`
  return {
    KAFKA_BROKERS: brokerNames.flatMap((name) => brokerAddress(ports[name])).join(','),
    REDIS_DEDUP_URL: `redis://127.0.0.1:${ports['redis-dedup']}/0`,
    REDIS_STATE_URL: `redis://127.0.0.1:${ports['redis-state']}/0`,
    REDIS_CACHE_URL: `redis://127.0.0.1:${ports['redis-cache']}/0`,
    DATABASE_URL: postgres,
    DATABASE_DIRECT_URL: postgres,
    CLICKHOUSE_URL: `http://${clickhouseUser}:${secrets.clickhousePassword}@127.0.0.1:${ports.clickhouse}/app`,
    OBJECT_STORE_URL: pathToFileURL(layout.objects(dataDir)).href
  }
}

function brokerAddress(port: number | undefined): readonly string[] {
  return port === undefined ? [] : [`127.0.0.1:${port}`]
}

/** How many brokers the endpoints name. */
export function brokersOf(endpoints: Endpoints): number {
  return endpoints.KAFKA_BROKERS.split(',').length
}

/** The endpoints that the last start of a data folder wrote; undefined when it was never started. */
export function readEndpoints(dataDir: string): Endpoints | undefined {
  return readState(layout.endpoints(dataDir), isEndpoints)
}

function isEndpoints(value: unknown): value is Endpoints {
  return hasFields(value, {
    KAFKA_BROKERS: 'string',
    REDIS_DEDUP_URL: 'string',
    REDIS_STATE_URL: 'string',
    REDIS_CACHE_URL: 'string',
    DATABASE_URL: 'string',
    DATABASE_DIRECT_URL: 'string',
    CLICKHOUSE_URL: 'string',
    OBJECT_STORE_URL: 'string'
  })
}
