import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { withAdvisoryLock } from '../src/advisory-lock.ts'
import { openPostgres } from '../src/postgres.ts'
import type { Postgres, PostgresOptions } from '../src/postgres.ts'

const stack = new AsyncDisposableStack()
let url: string
let postgres: Postgres

const open = async (options: Partial<PostgresOptions> = {}): Promise<Postgres> =>
  await openPostgres({ url, poolSize: 2, log: createSilentLogger(), name: 'test', ...options })

beforeAll(async () => {
  url = stack.use(await openTestDatabases('postgres')).databaseUrl
  postgres = stack.use(await open())
  await postgres.query('CREATE TABLE things (id int PRIMARY KEY, size int CHECK (size > 0))')
})
afterAll(() => stack.disposeAsync())

const ids = async (): Promise<unknown[]> =>
  (await postgres.query('SELECT id FROM things ORDER BY id')).map(({ id }) => id)

describe('openPostgres', () => {
  it('gives rows of a statement with parameters', async () => {
    expect(await postgres.query('SELECT $1::int + 1 AS sum, $2::jsonb AS facts', [41, '{"a":1}'])).toEqual([
      { sum: 42, facts: { a: 1 } }
    ])
  })

  it('commits a transaction as a whole and rolls one back that throws', async () => {
    const answer = await postgres.transaction(async (tx) => {
      await tx.query('INSERT INTO things VALUES (1, 1), (2, 2)')
      return 'both'
    })
    expect(answer).toBe('both')
    const failed = postgres.transaction(async (tx) => {
      await tx.query('INSERT INTO things VALUES (3, 3)')
      throw new RangeError('changed my mind')
    })
    await expect(failed).rejects.toThrow(RangeError)
    expect(await ids()).toEqual([1, 2])
  })

  it('tells a conflict from a refusal, names the constraint, and goes on', async () => {
    await expect(postgres.query('INSERT INTO things VALUES (1, 1)')).rejects.toMatchObject({
      code: 'PIPE_CONFLICT',
      details: { sqlstate: '23505', constraint: 'things_pkey' }
    })
    await expect(postgres.query('INSERT INTO things VALUES (9, 0)')).rejects.toMatchObject({
      code: 'PIPE_POSTGRES_REFUSED',
      details: { sqlstate: '23514' }
    })
    await postgres.ping()
  })

  it('ends a statement of a transaction after its time on the server', async () => {
    await using hasty = await open({ statementTimeoutMs: 100 })
    const slow = hasty.transaction((tx) => tx.query('SELECT pg_sleep(5)'))
    await expect(slow).rejects.toMatchObject({ code: 'PIPE_POSTGRES_UNAVAILABLE', details: { sqlstate: '57014' } })
    await hasty.ping()
  })

  it('leaves no setting behind on a connection', async () => {
    await using single = await open({ poolSize: 1, statementTimeoutMs: 1_234 })
    const inside = await single.transaction((tx) => tx.query('SHOW statement_timeout'))
    const outside = await single.query('SHOW statement_timeout')
    expect([inside, outside]).toEqual([[{ statement_timeout: '1234ms' }], [{ statement_timeout: '0' }]])
  })

  it('survives a connection that the server cuts, idle or in a transaction', async () => {
    await using single = await open({ poolSize: 1 })
    const [idle] = await single.query('SELECT pg_backend_pid() AS pid')
    await postgres.query('SELECT pg_terminate_backend($1)', [idle?.['pid']])
    const cut = single.transaction(async (tx) => {
      const [busy] = await tx.query('SELECT pg_backend_pid() AS pid')
      await postgres.query('SELECT pg_terminate_backend($1)', [busy?.['pid']])
      await tx.query('INSERT INTO things VALUES (4, 4)')
    })
    await expect(cut).rejects.toMatchObject({ code: 'PIPE_POSTGRES_UNAVAILABLE' })
    await single.ping()
    expect(await ids()).toEqual([1, 2])
  })

  it('is unavailable when nothing listens or nothing answers', async () => {
    const mute = createServer((socket) => socket.on('error', () => undefined).resume())
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
    const { port } = mute.address() as AddressInfo
    const at = (address: string): string => url.replace(new URL(url).host, address)
    await using silent = await open({ url: at(`127.0.0.1:${port}`), connectTimeoutMs: 200 })
    await using absent = await open({ url: at('127.0.0.1:1') })
    await expect(silent.ping()).rejects.toMatchObject({ code: 'PIPE_POSTGRES_UNAVAILABLE' })
    await expect(absent.transaction(async () => 1)).rejects.toMatchObject({ code: 'PIPE_POSTGRES_UNAVAILABLE' })
    mute.close()
  })
})

describe('withAdvisoryLock', () => {
  it('lets one at a time do its work', async () => {
    const order: string[] = []
    const work = (name: string) =>
      withAdvisoryLock(url, 'order', async ({ query }) => {
        order.push(`${name} in`)
        await query('SELECT pg_sleep(0.05)')
        order.push(`${name} out`)
      })
    await Promise.all([work('a'), work('b'), work('c')])
    expect(order.map((step) => step.slice(2))).toEqual(['in', 'out', 'in', 'out', 'in', 'out'])
    for (const at of [0, 2, 4]) expect(order[at]?.[0]).toBe(order[at + 1]?.[0])
  })

  it('gives up waiting with a deadline, and is free after a holder that threw', async () => {
    const waiter = withAdvisoryLock(url, 'held', () =>
      withAdvisoryLock(url, 'held', async () => 'never', { waitMs: 100 })
    )
    await expect(waiter).rejects.toMatchObject({ code: 'PIPE_DEADLINE' })
    expect(await withAdvisoryLock(url, 'held', async () => 'free', { waitMs: 1_000 })).toBe('free')
  })

  it('fails when its connection is cut, for the work is alone no longer', async () => {
    const never = new Promise<never>(() => undefined)
    const work = withAdvisoryLock(url, 'cut', async ({ query }) => {
      const [row] = await query('SELECT pg_backend_pid() AS pid')
      await postgres.query('SELECT pg_terminate_backend($1)', [row?.['pid']])
      return await never
    })
    await expect(work).rejects.toMatchObject({ code: 'PIPE_POSTGRES_UNAVAILABLE' })
  })
})
