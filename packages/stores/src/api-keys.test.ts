import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { defaultProjectSettings, digestSecret, generateApiKey } from '@millrace/contracts'
import type { ApiKeyKind } from '@millrace/contracts'
import { createSilentLogger } from '@millrace/observability'
import { createKeyStore } from './api-keys.ts'
import type { KeyStoreOptions } from './api-keys.ts'
import type { Queryable } from './postgres-run.ts'

const pepper = 'pepper'
const day = 86_400_000

interface StoredKey {
  readonly project_id: string
  readonly kind: ApiKeyKind
  readonly digest: Buffer
  readonly expires_at: Date | null
  revoked: boolean
  stale_use: boolean
  settings: unknown
}

/** The table, a switch for its server, and the statements that arrived. */
function fakeTable() {
  const keys = new Map<string, StoredKey>()
  const server = { mode: 'up' as 'up' | 'down' | 'hangs', reads: 0, touched: [] as unknown[] }
  const query = async (text: string, [id]: readonly unknown[] = []): Promise<readonly unknown[]> => {
    if (text.startsWith('UPDATE')) {
      server.touched.push(id)
      return []
    }
    server.reads++
    if (server.mode === 'hangs') return await new Promise(() => undefined)
    if (server.mode === 'down') throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'down')
    const key = keys.get(String(id))
    return key === undefined || key.revoked ? [] : [{ id, log_generation: 3, ...key }]
  }
  const add = (kind: ApiKeyKind, expiresAt: Date | null = null) => {
    const { key, id, secret } = generateApiKey(kind)
    const digest = digestSecret(pepper, secret)
    const stored = {
      project_id: 'shop',
      kind,
      digest,
      expires_at: expiresAt,
      revoked: false,
      stale_use: false,
      settings: {} as unknown
    }
    keys.set(id, stored)
    return { key, id, stored }
  }
  // The fake answers only the statements of the key store, whose row types it cannot know.
  return { server, add, postgres: { query } as Queryable }
}

function setup(options: Partial<KeyStoreOptions> = {}, clock = createManualClock()) {
  const table = fakeTable()
  const store = createKeyStore({ postgres: table.postgres, pepper, clock, log: createSilentLogger(), ...options })
  return { clock, store, ...table }
}

describe('authenticate', () => {
  it('lets a write key write and forbids it to read; a secret key may do both', async () => {
    const { store, add } = setup()
    const write = add('write')
    const secret = add('secret')
    expect(await store.authenticate(write.key, 'write')).toEqual({
      kind: 'ok',
      projectId: 'shop',
      logGeneration: 3,
      settings: defaultProjectSettings,
      keyId: write.id,
      keyKind: 'write'
    })
    expect(await store.authenticate(write.key, 'read')).toEqual({ kind: 'forbidden' })
    expect(await store.authenticate(secret.key, 'write')).toMatchObject({ kind: 'ok', keyKind: 'secret' })
    expect(await store.authenticate(secret.key, 'read')).toMatchObject({ kind: 'ok', keyId: secret.id })
  })

  it('answers from memory, without a promise, for a minute by default, and then asks first', async () => {
    const { store, add, server, clock } = setup()
    const { key, stored } = add('write')
    await store.authenticate(key, 'write')
    await clock.advance(19_999)
    expect(store.authenticate(key, 'write')).toMatchObject({ kind: 'ok' })
    expect(server.reads).toBe(1)
    stored.revoked = true
    await clock.advance(40_001)
    const asked = store.authenticate(key, 'write')
    expect(asked).toBeInstanceOf(Promise)
    expect(await asked).toEqual({ kind: 'invalid' })
    expect(server.reads).toBe(2)
  })

  it('asks behind the requests after a third of that time, once, and knows of a revocation with the next one', async () => {
    const { store, add, server, clock } = setup({ freshMs: 30_000 })
    const { key, stored } = add('write')
    await store.authenticate(key, 'write')
    for (const second of [10, 20, 30, 40]) {
      await clock.advance(10_000)
      expect([1, 2].map(() => store.authenticate(key, 'write'))).toMatchObject([{ kind: 'ok' }, { kind: 'ok' }])
      expect(server.reads).toBe(1 + second / 10)
    }
    stored.revoked = true
    await clock.advance(10_000)
    expect(store.authenticate(key, 'write')).toMatchObject({ kind: 'ok' })
    await clock.advance(0)
    expect(store.authenticate(key, 'write')).toEqual({ kind: 'invalid' })
  })

  it('knows the settings of the project as of the look-up; a bad value is its default, and is told', async () => {
    let bad = 0
    const { store, add, clock } = setup({ onBadSetting: () => void bad++ })
    const { key, stored } = add('write')
    stored.settings = { keyTemplate: 'eventType:eventId', limits: { project: { eventsPerSecond: -1 } } }
    const settings = { ...defaultProjectSettings, keyTemplate: 'eventType:eventId' }
    expect(await store.authenticate(key, 'write')).toMatchObject({ kind: 'ok', settings })
    expect(bad).toBe(1)
    stored.settings = { limits: { project: { eventsPerSecond: 5 } } }
    expect(store.authenticate(key, 'write')).toMatchObject({ settings })
    await clock.advance(60_000)
    const limits = { project: { eventsPerSecond: 5, burst: 10 } }
    expect(await store.authenticate(key, 'write')).toMatchObject({ settings: { ...defaultProjectSettings, limits } })
    expect(bad).toBe(1)
  })

  it('refuses a text that is no key, a wrong secret and another kind without believing any of them', async () => {
    const { store, add, server } = setup()
    const { id } = add('write')
    expect(store.authenticate('mr_w_nonsense', 'write')).toEqual({ kind: 'invalid' })
    expect(server.reads).toBe(0)
    const withId = generateApiKey('write', (bytes) => Buffer.alloc(bytes, 1))
    expect(withId.id).not.toBe(id)
    expect(await store.authenticate(withId.key, 'write')).toEqual({ kind: 'invalid' })
  })

  it('refuses the id of a key with the secret of another', async () => {
    const { clock, postgres } = setup()
    const real = generateApiKey('write', (bytes) => Buffer.alloc(bytes, 1))
    const forged = generateApiKey('write', (bytes) => (bytes === 8 ? Buffer.alloc(8, 1) : Buffer.alloc(bytes, 2)))
    const row = { id: real.id, project_id: 'shop', kind: 'write', expires_at: null, stale_use: false }
    const query = async () => [{ ...row, digest: digestSecret(pepper, real.secret) }]
    const store = createKeyStore({
      postgres: { ...postgres, query } as Queryable,
      pepper,
      clock,
      log: createSilentLogger()
    })
    expect(forged.id).toBe(real.id)
    expect(await store.authenticate(forged.key, 'write')).toEqual({ kind: 'invalid' })
    expect(await store.authenticate(real.key, 'write')).toMatchObject({ kind: 'ok' })
  })

  it('remembers a wrong key for five seconds only', async () => {
    const { store, server, clock } = setup()
    const { key } = generateApiKey('write')
    expect(await store.authenticate(key, 'write')).toEqual({ kind: 'invalid' })
    await clock.advance(4_999)
    expect(store.authenticate(key, 'write')).toEqual({ kind: 'invalid' })
    expect(server.reads).toBe(1)
    await clock.advance(1)
    await store.authenticate(key, 'write')
    expect(server.reads).toBe(2)
  })

  it('asks once for many requests with the same key', async () => {
    const { store, add, server } = setup()
    const { key } = add('write')
    const decisions = await Promise.all([1, 2, 3].map(async () => await store.authenticate(key, 'write')))
    expect(decisions.map(({ kind }) => kind)).toEqual(['ok', 'ok', 'ok'])
    expect(server.reads).toBe(1)
  })

  it('expires a key at its time, in memory too', async () => {
    const { store, add, clock } = setup()
    const { key } = add('write', new Date(clock.now() + 10_000))
    expect(await store.authenticate(key, 'write')).toMatchObject({ kind: 'ok' })
    await clock.advance(10_000)
    expect(store.authenticate(key, 'write')).toEqual({ kind: 'invalid' })
  })

  it('writes the last use only when the table says that an hour has passed', async () => {
    const { store, add, server, clock } = setup()
    const { key, id, stored } = add('write')
    await store.authenticate(key, 'write')
    expect(server.touched).toEqual([])
    stored.stale_use = true
    await clock.advance(60_000)
    await store.authenticate(key, 'write')
    expect(server.touched).toEqual([id])
  })
})

describe('authenticate without PostgreSQL', () => {
  it('believes a key it has seen for a day and no longer', async () => {
    const { store, add, server, clock } = setup()
    const { key } = add('write')
    await store.authenticate(key, 'write')
    server.mode = 'down'
    await clock.advance(day - 1)
    expect(await store.authenticate(key, 'write')).toMatchObject({ kind: 'ok' })
    await clock.advance(1)
    expect(await store.authenticate(key, 'write')).toEqual({ kind: 'unavailable' })
  })

  it('calls a key it has never seen unavailable, not invalid, and one it knew to be wrong as well', async () => {
    const { store, add, server, clock } = setup()
    const wrong = generateApiKey('write')
    await store.authenticate(wrong.key, 'write')
    server.mode = 'down'
    expect(await store.authenticate(add('write').key, 'write')).toEqual({ kind: 'unavailable' })
    await clock.advance(5_000)
    expect(await store.authenticate(wrong.key, 'write')).toEqual({ kind: 'unavailable' })
  })

  it('does not bring a key back to life that it has found revoked', async () => {
    const { store, add, server, clock } = setup()
    const { key, stored } = add('write')
    await store.authenticate(key, 'write')
    stored.revoked = true
    await clock.advance(60_000)
    expect(await store.authenticate(key, 'write')).toEqual({ kind: 'invalid' })
    server.mode = 'down'
    await clock.advance(5_000)
    expect(await store.authenticate(key, 'write')).toEqual({ kind: 'unavailable' })
  })

  it('leaves the server alone for a second after a failure, then finds it again', async () => {
    const { store, add, server, clock } = setup()
    const { key } = add('write')
    server.mode = 'down'
    await store.authenticate(key, 'write')
    server.mode = 'up'
    await clock.advance(999)
    expect(await store.authenticate(key, 'write')).toEqual({ kind: 'unavailable' })
    expect(server.reads).toBe(1)
    await clock.advance(1)
    expect(await store.authenticate(key, 'write')).toMatchObject({ kind: 'ok' })
  })

  it('waits one second, once, for a server that hangs, and then uses what it knows while it asks behind', async () => {
    const { store, add, server, clock } = setup()
    const keys = [add('write').key, add('write').key]
    for (const key of keys) await store.authenticate(key, 'write')
    server.mode = 'hangs'
    await clock.advance(60_000)
    const first = keys.map((key) => store.authenticate(key, 'write'))
    expect(first).toEqual([expect.any(Promise), expect.any(Promise)])
    await clock.advance(1_000)
    expect(await Promise.all(first.map(async (each) => await each))).toMatchObject([{ kind: 'ok' }, { kind: 'ok' }])
    for (let at = 0; at < 40; at++) {
      await clock.advance(100)
      expect(keys.map((key) => store.authenticate(key, 'write'))).toMatchObject([{ kind: 'ok' }, { kind: 'ok' }])
    }
    // Two at first, and then one key a time: a second of waiting, a second of rest.
    expect(server.reads).toBe(2 + 2 + 2)
    server.mode = 'up'
    await clock.advance(2_000)
    const asked = keys.map(async (key) => await store.authenticate(key, 'write'))
    await clock.advance(0)
    expect(await Promise.all(asked)).toMatchObject([{ kind: 'ok' }, { kind: 'ok' }])
  })

  it('does not let wrong keys push out good ones', async () => {
    const { store, add, server, clock } = setup({ maxEntries: 2 })
    const { key } = add('write')
    await store.authenticate(key, 'write')
    for (let guess = 0; guess < 5; guess++) await store.authenticate(generateApiKey('write').key, 'write')
    server.mode = 'down'
    await clock.advance(60_000)
    expect(await store.authenticate(key, 'write')).toMatchObject({ kind: 'ok' })
  })
})

describe('with a replica', () => {
  /** Answers from what it was given, as a server does that is some seconds late. */
  function late(from: 'replica' | 'primary' = 'replica') {
    const table = fakeTable()
    const clock = createManualClock()
    const whole = { untilMs: (): number => clock.monotonic() - 5_000 }
    const reads = {
      ask: async (text: string, params?: readonly unknown[]) => ({
        rows: await table.postgres.query(text, params),
        from,
        checkedAtMs: whole.untilMs()
      })
    }
    // The row types of the key store's statements are not known here either.
    return { table, clock, whole, reads: reads as unknown as NonNullable<KeyStoreOptions['reads']> }
  }

  it('does not ask the primary for a key that the replica has', async () => {
    const { table, reads } = late()
    const { store, server } = setup({ reads })
    const { key } = table.add('write')
    expect(await store.authenticate(key, 'write')).toMatchObject({ kind: 'ok', projectId: 'shop' })
    expect([table.server.reads, server.reads]).toEqual([1, 0])
  })

  it('asks the primary before it refuses: a key that was just made is not on the replica', async () => {
    const { table, reads } = late()
    const { store, add, server } = setup({ reads })
    const { key } = add('write')
    expect(await store.authenticate(key, 'write')).toMatchObject({ kind: 'ok' })
    expect([table.server.reads, server.reads]).toEqual([1, 1])
  })

  it('is not known, rather than wrong, when the replica does not have it and the primary is away', async () => {
    const { reads } = late()
    const { store, server } = setup({ reads })
    server.mode = 'down'
    expect(await store.authenticate(generateApiKey('write').key, 'write')).toEqual({ kind: 'unavailable' })
  })

  it('is good by the replica alone while the primary is away', async () => {
    const { table, reads } = late()
    const { store, server } = setup({ reads })
    server.mode = 'down'
    expect(await store.authenticate(table.add('secret').key, 'read')).toMatchObject({ kind: 'ok' })
  })

  it('asks once when the primary has answered in place of the replica', async () => {
    const { table, reads } = late('primary')
    const { store, server } = setup({ reads })
    expect(await store.authenticate(generateApiKey('write').key, 'write')).toEqual({ kind: 'invalid' })
    expect([table.server.reads, server.reads]).toEqual([1, 0])
  })

  it('takes what a replica says for as old as it may be: a revocation takes effect in the same time', async () => {
    const { table, reads, clock } = late()
    const { store } = setup({ reads, freshMs: 30_000 }, clock)
    const { key, stored } = table.add('write')
    await store.authenticate(key, 'write')
    stored.revoked = true
    await clock.advance(25_000)
    const asked = store.authenticate(key, 'write')
    expect(asked).toBeInstanceOf(Promise)
    expect(await asked).toEqual({ kind: 'invalid' })
  })

  it('asks the primary as well when nobody knows what the replica lacks since longer than a key is fresh', async () => {
    const { table, reads, clock, whole } = late()
    const { store, server } = setup({ reads }, clock)
    const { key } = table.add('write')
    const untilMs = clock.monotonic()
    whole.untilMs = () => untilMs
    await clock.advance(59_999)
    expect(await store.authenticate(key, 'write')).toMatchObject({ kind: 'ok' })
    expect([table.server.reads, server.reads]).toEqual([1, 0])
    await clock.advance(1)
    // The primary knows that it is revoked.
    expect(await store.authenticate(key, 'write')).toEqual({ kind: 'invalid' })
    expect([table.server.reads, server.reads]).toEqual([2, 1])
  })

  it.each(['down', 'hangs'] as const)(
    'believes such a replica for a day while the primary %s, without waiting for it, and not longer',
    async (mode) => {
      const { table, reads, clock, whole } = late()
      const { store, server } = setup({ reads }, clock)
      const [{ key }, other] = [table.add('write'), table.add('write')]
      const untilMs = clock.monotonic()
      whole.untilMs = () => untilMs
      server.mode = mode
      const settle = async (rawKey: string) => {
        const asked = store.authenticate(rawKey, 'write')
        if (asked instanceof Promise) await clock.advance(400)
        return { isWaiting: asked instanceof Promise, kind: (await asked).kind }
      }
      await clock.advance(60_000)
      expect(await settle(key)).toEqual({ isWaiting: true, kind: 'ok' })
      expect(await settle(key)).toEqual({ isWaiting: false, kind: 'ok' })
      await clock.advance(86_300_000)
      expect(await settle(other.key)).toEqual({ isWaiting: true, kind: 'ok' })
      await clock.advance(60_000)
      expect((await settle(key)).kind).toBe('unavailable')
      expect((await settle(other.key)).kind).toBe('unavailable')
    }
  )
})
