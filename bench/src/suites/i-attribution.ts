// I-attribution: questions about persons against the same questions about ids as they were sent, on ten million events
// in one part, with a million recognised devices; the memory that takes, and that none of it is Redis's.
import { systemClock } from '@millrace/kernel'
import type { Endpoints } from '@millrace/local-stack/endpoints'
import { createSilentLogger } from '@millrace/observability'
import { schemasFolder } from '@millrace/operations/migrate'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { openRedis } from '@millrace/stores/redis'
import { openBenchStack } from '../bench-stack.ts'
import type { LoadResult, Variant } from '../harness.ts'
import type { Finding } from '../result.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const events = 10_000_000
const devices = 2_000_000
const links = 1_000_000
const rowsPerInsert = 1_000_000
/** What keeping ten million anonymous events for a later login takes elsewhere. */
const keptElsewhereBytes = 20 * 1024 ** 3
const log = createSilentLogger()

export const iAttribution: Suite = {
  name: 'i-attribution',
  about: 'persons against ids as they were sent, 10 M events and 1 M links',
  // 0.77: at most 1.3 times the CPU of the question without persons.
  comparisons: [
    { variant: 'personId', reference: 'ids', goal: 0.77, floor: 0.6 },
    { variant: 'personIdAtEvent', reference: 'ids', goal: 0.77, floor: 0.55 },
    // Grouping costs little, so of this the lookups are the larger share.
    { variant: 'top persons', reference: 'top ids', goal: 0.77, floor: 0.4 }
  ],
  open
}

async function open(_settings: BenchSettings, say: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(say))
  const { endpoints } = stack
  const { CLICKHOUSE_URL: url } = endpoints
  await migrateClickhouse({ url, folder: new URL('clickhouse/', schemasFolder), log })
  const options = { url, log, applicationName: 'bench', requestTimeoutMs: 600_000 }
  const clickhouse = opening.use(await openClickhouse(options))
  const redisBefore = await redisBytes(endpoints)
  await fill(clickhouse, say)
  const loadMs = await loadDictionaries(clickhouse)
  const engine = stack.pidOf('clickhouse')
  const opened = opening.move()
  return {
    variants: [
      asked('ids', distinct(ids), clickhouse, engine),
      asked('personId', distinct('personId'), clickhouse, engine),
      asked('personIdAtEvent', distinct('personIdAtEvent'), clickhouse, engine),
      asked('top ids', mostActive(ids), clickhouse, engine),
      asked('top persons', mostActive('personId'), clickhouse, engine)
    ],
    otherPids: () => stack.pids(),
    versions: stack.versions,
    settings: { events, devices, links },
    findings: async () => [
      ...(await memory(clickhouse)),
      { name: 'load of the dictionaries', value: Math.round(loadMs), unit: 'ms' },
      {
        name: 'growth of the three Redis',
        value: (await redisBytes(endpoints)) - redisBefore,
        unit: 'bytes',
        ceiling: 2 ** 20
      }
    ],
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** What somebody asks who does not know of persons. */
const ids = "if(userId = '', anonymousId, userId)"

const distinct = (column: string): string =>
  `SELECT eventType, uniqExact(${column}) AS people FROM events WHERE projectId = 'bench' GROUP BY eventType`

const mostActive = (column: string): string =>
  `SELECT ${column} AS who, count() AS events FROM events WHERE projectId = 'bench' GROUP BY who ORDER BY events DESC LIMIT 10`

/** Asks `sql` again and again. */
function asked(name: string, sql: string, clickhouse: Clickhouse, engine: number): Variant {
  const drive = async (ms: number): Promise<LoadResult> => {
    const startedAt = systemClock.monotonic()
    let answers = 0
    do {
      await clickhouse.rows(sql)
      answers++
    } while (systemClock.monotonic() - startedAt < ms)
    const elapsedMs = systemClock.monotonic() - startedAt
    const each = elapsedMs / answers
    return { events: answers * events, failures: 0, latencyMs: { p50: each, p99: each }, elapsedMs }
  }
  return { name, pids: () => [engine], drive }
}

/** Two million devices, half of them with a user; six of ten events name none. One device in a hundred has a second user. */
async function fill(clickhouse: Clickhouse, say: (line: string) => void): Promise<void> {
  const device = (number: string): string => `concat('device-', lower(hex(sipHash128(${number}))))`
  const types = "['page_view', 'product_view', 'add_to_cart', 'purchase'][1 + number % 4]"
  for (let from = 0; from < events; from += rowsPerInsert) {
    await clickhouse.command(`INSERT INTO events_raw (projectId, eventId, eventType, userId, anonymousId, timestamp, offset, version)
      SELECT 'bench', lower(hex(sipHash128(number))), ${types},
        if(owner < ${links} AND number % 5 < 2, concat('user-', toString(intDiv(owner, 2))), ''), ${device('owner')},
        toDateTime64('2026-06-01 00:00:00', 3, 'UTC') + toIntervalMillisecond(sipHash64(number) % 2500000000), number, 1
      FROM (SELECT number, sipHash64(number, 1) % ${devices} AS owner FROM numbers(${from}, ${rowsPerInsert}))`)
    say(`${from + rowsPerInsert} of ${events} events`)
  }
  const link = (which: string, user: string, day: number, count: number): string => `INSERT INTO identity_links
    SELECT 'bench', ${device(which)}, lower(hex(sipHash128(number + ${day}))), ${user},
      toDateTime64('2026-06-${day} 00:00:00', 3, 'UTC') + toIntervalSecond(number % 1000000), 1, '' FROM numbers(${count})`
  await clickhouse.command(link('number', "concat('user-', toString(intDiv(number, 2)))", 15, links))
  await clickhouse.command(link('number * 100', "concat('second-', toString(number))", 10, links / 100))
  // As a server leaves them after a while: reading parts that are not merged costs so much that persons would look cheap.
  for (const table of ['events_raw', 'identity_links']) await clickhouse.command(`OPTIMIZE TABLE ${table} FINAL`)
}

async function loadDictionaries(clickhouse: Clickhouse): Promise<number> {
  const startedAt = systemClock.monotonic()
  for (const name of ['devices', 'shared', 'persons'])
    await clickhouse.command(`SYSTEM RELOAD DICTIONARY identity_${name}`)
  return systemClock.monotonic() - startedAt
}

async function memory(clickhouse: Clickhouse): Promise<readonly Finding[]> {
  const [row] = await clickhouse.rows<{ bytes: string; devices: string; single: string }>(
    `SELECT sum(bytes_allocated) AS bytes, sumIf(element_count, name = 'identity_devices') AS devices,
       sumIf(bytes_allocated, name = 'identity_devices') AS single
     FROM system.dictionaries WHERE database = currentDatabase()`
  )
  const [disk] = await clickhouse.rows<{ bytes: string }>(
    `SELECT sum(column_data_compressed_bytes) AS bytes FROM system.parts_columns
     WHERE active AND database = currentDatabase() AND table = 'events_raw' AND startsWith(column, 'subject')`
  )
  const [bytes, count, single] = [Number(row?.bytes), Number(row?.devices), Number(row?.single)]
  return [
    { name: 'memory per device with one user', value: single / count, unit: 'bytes', goal: 60, ceiling: 100 },
    { name: 'memory of recognition', value: bytes / 2 ** 20, unit: 'MiB', goal: 100, ceiling: 400 },
    { name: 'disk per event', value: Number(disk?.bytes) / events, unit: 'bytes', goal: 50, ceiling: 100 },
    { name: 'share of the memory that whole events take', value: (100 * bytes) / keptElsewhereBytes, unit: '%' }
  ]
}

/** Memory in use of all three roles. */
async function redisBytes(endpoints: Endpoints): Promise<number> {
  const { REDIS_DEDUP_URL, REDIS_STATE_URL, REDIS_CACHE_URL } = endpoints
  const roles = { dedup: REDIS_DEDUP_URL, state: REDIS_STATE_URL, cache: REDIS_CACHE_URL } as const
  let sum = 0
  for (const role of ['dedup', 'state', 'cache'] as const) {
    await using redis = await openRedis({ url: roles[role], role, log, requirePolicy: 'now' })
    sum += Number(/used_memory_dataset:(\d+)/.exec(String(await redis.command('INFO', 'memory')))?.[1])
  }
  return sum
}
