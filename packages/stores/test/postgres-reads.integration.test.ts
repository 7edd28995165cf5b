// A real primary and a streaming replica of it, which is made late by pausing its replay, and killed.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generateApiKey, digestSecret } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { createRegistry, createSilentLogger } from '@millrace/observability'
import { eventually } from '@millrace/testkit/eventually'
import { openOwnPostgres } from '@millrace/testkit/own-postgres'
import type { OwnPostgres } from '@millrace/testkit/own-postgres'
import { createKeyStore } from '../src/api-keys.ts'
import { migratePostgres } from '../src/migrations.ts'
import { openPostgres } from '../src/postgres.ts'
import type { Postgres } from '../src/postgres.ts'
import { openPostgresReads } from '../src/postgres-reads.ts'
import type { PostgresReads } from '../src/postgres-reads.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const registry = createRegistry()
const maxLagMs = 1_000
const pepper = 'pepper'
let server: OwnPostgres
let follower: OwnPostgres
let primary: Postgres
let replica: Postgres
let reads: PostgresReads

const open = async (url: string): Promise<Postgres> =>
  stack.use(await openPostgres({ url, poolSize: 2, log, name: 'test', statementTimeoutMs: 2_000 }))

beforeAll(async () => {
  server = stack.use(await openOwnPostgres())
  await migratePostgres({ url: server.url, folder: new URL('../../../schemas/postgres/', import.meta.url), log })
  follower = await server.replica()
  primary = await open(server.url)
  replica = await open(follower.url)
  await primary.query(`INSERT INTO projects (id, name) VALUES ('shop', 'Shop')`)
  const config = {
    DATABASE_REPLICA_URLS: [follower.url],
    DATABASE_REPLICA_LAG_MS: maxLagMs,
    DATABASE_POOL_SIZE: 2
  }
  const common = { config, primary, registry, clock: systemClock, log, name: 'test' }
  reads = stack.use(await openPostgresReads(common))
  await eventually('the replica is read from', isWhole, { intervalMs: 20 })
})
afterAll(() => stack.disposeAsync())

const isWhole = async (): Promise<boolean> =>
  await reads.check().then(
    () => true,
    () => false
  )
const who = async (): Promise<string> => (await reads.ask('SELECT 1')).from
const series = async (name: string): Promise<number> => {
  const line = (await registry.metrics()).split('\n').find((each) => each.startsWith(`${name} `))
  return Number(line?.split(' ').at(-1) ?? 0)
}
const pause = () => replica.query('SELECT pg_wal_replay_pause()')
const resume = () => replica.query('SELECT pg_wal_replay_resume()')

async function addKey(): Promise<string> {
  const { key, id, secret } = generateApiKey('secret')
  await primary.query(`INSERT INTO api_keys (id, project_id, kind, digest) VALUES ($1, 'shop', 'secret', $2)`, [
    id,
    digestSecret(pepper, secret)
  ])
  return key
}

describe('openPostgresReads on a streaming replica', () => {
  it('reads from the replica, also when nobody has written for longer than the bound', async () => {
    await systemClock.sleep(maxLagMs + 100)
    await eventually('the replica is read from', isWhole)
    const { rows, from } = await reads.ask('SELECT pg_is_in_recovery() AS standby')
    expect([rows, from]).toEqual([[{ standby: true }], 'replica'])
  })

  it('does not read from it any more when it is late by more than the bound, until it has caught up', async () => {
    const before = await series('analytics_replica_left_out_total{store="postgres",reason="behind"}')
    await pause()
    await primary.query(`UPDATE projects SET name = 'Shop 2' WHERE id = 'shop'`)
    const written = systemClock.monotonic()
    // Whatever is read after the bound is not older than it: the replica gave way before.
    for (;;) {
      const isLate = systemClock.monotonic() - written > maxLagMs
      const { rows, from } = await reads.ask<{ readonly name: string }>(`SELECT name FROM projects WHERE id = 'shop'`)
      expect(rows[0]?.name).toBe(from === 'primary' ? 'Shop 2' : 'Shop')
      if (isLate) expect(from).toBe('primary')
      if (isLate) break
    }
    await expect(reads.check()).rejects.toThrow('replica 0: behind')
    await eventually('it is counted', async () => {
      return (await series('analytics_replica_left_out_total{store="postgres",reason="behind"}')) === before + 1
    })
    expect(await series('analytics_replica_behind_seconds{store="postgres"}')).toBeGreaterThan(maxLagMs / 1_000)
    await resume()
    await eventually('the replica is read from', isWhole)
    expect((await reads.ask(`SELECT name FROM projects WHERE id = 'shop'`)).rows).toEqual([{ name: 'Shop 2' }])
  })

  it('knows a key that was made a moment ago although the replica does not, and does not refuse it', async () => {
    const keys = createKeyStore({ postgres: primary, reads, pepper, clock: systemClock, log })
    const known = await addKey()
    await eventually('the replica has the key', async () => (await replica.query('SELECT FROM api_keys')).length === 1)
    await pause()
    const made = await addKey()
    expect(await who()).toBe('replica')
    expect(await keys.authenticate(made, 'read')).toMatchObject({ kind: 'ok', projectId: 'shop' })
    expect(await keys.authenticate(known, 'read')).toMatchObject({ kind: 'ok', projectId: 'shop' })
    expect(await keys.authenticate(generateApiKey('secret').key, 'read')).toEqual({ kind: 'invalid' })
    await resume()
    await eventually('the replica is read from', isWhole)
  })

  it('answers from the primary when the replica is killed, without an error', async () => {
    await eventually('the replica is read from', async () => (await who()) === 'replica')
    await follower.kill()
    const found = await Promise.all(Array.from({ length: 20 }, who))
    expect(new Set(found)).toEqual(new Set(['primary']))
    await eventually('it is left out', async () => !(await isWhole()))
    expect(await series('analytics_replicas_usable{store="postgres"}')).toBe(0)
  })

  it('lets in by a replica whom it knows while the primary is away, and calls nobody wrong whom it does not', async () => {
    const known = await addKey()
    const other = await server.replica()
    const common = { primary, registry: createRegistry(), clock: systemClock, log, name: 'test' }
    const config = { DATABASE_REPLICA_URLS: [other.url], DATABASE_REPLICA_LAG_MS: maxLagMs, DATABASE_POOL_SIZE: 2 }
    const others = stack.use(await openPostgresReads({ ...common, config }))
    await eventually('the replica is read from', async () => (await others.ask('SELECT 1')).from === 'replica')
    await server.kill()
    await systemClock.sleep(maxLagMs + 100)
    const keys = createKeyStore({ postgres: primary, reads: others, pepper, clock: systemClock, log })
    expect(await keys.authenticate(known, 'read')).toMatchObject({ kind: 'ok', projectId: 'shop' })
    expect(await keys.authenticate(generateApiKey('secret').key, 'read')).toEqual({ kind: 'unavailable' })
  })
})
