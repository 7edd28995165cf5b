// Who a raw API key stands for. Answers come from memory while they are fresh and are renewed behind before they are not, so
// a request costs no round trip; with PostgreSQL away, keys known before stay good for a day without waiting for it, and a
// key never seen is "not known", not "wrong".
import { AppError, withDeadline } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { digestSecret, parseApiKey, parseProjectSettings, sameDigest } from '@millrace/contracts'
import type { ApiKeyKind, ParsedApiKey, ProjectContext } from '@millrace/contracts'
import type { Logger } from '@millrace/observability'
import { createBoundedMap } from './bounded-map.ts'
import type { PostgresReads } from './postgres-reads.ts'
import type { Queryable } from './postgres-run.ts'

/** What a request wants to do: send events, or read. Write keys may only send, secret keys may do both. */
export type KeyNeed = 'write' | 'read'

/** A good key, and its project as it was when the key was last looked up. */
export interface KnownKey extends ProjectContext {
  readonly keyId: string
  readonly keyKind: ApiKeyKind
}

/** `unavailable`: PostgreSQL could not be asked and the key is not remembered; the caller answers 503, never 401. */
export type KeyDecision =
  | ({ readonly kind: 'ok' } & KnownKey)
  | { readonly kind: 'invalid' }
  | { readonly kind: 'forbidden' }
  | { readonly kind: 'unavailable' }

export interface KeyStore {
  /** Synchronous while the answer is fresh in memory. Never throws for a bad key or a missing PostgreSQL. */
  authenticate(rawKey: string, need: KeyNeed): KeyDecision | Promise<KeyDecision>
}

export interface KeyStoreOptions {
  readonly postgres: Queryable
  /**
   * Asked in place of `postgres` where a key is good. One that a replica does not find good may be newer than the replica:
   * then `postgres` decides.
   */
  readonly reads?: Pick<PostgresReads, 'ask'>
  readonly pepper: string
  readonly clock: Clock
  readonly log: Logger
  /** Told of each value in a project's settings that breaks its rule; the default stands in for it. */
  readonly onBadSetting?: () => void
  /**
   * A good key is asked for again after this time, before its request goes on, so a revocation takes effect within it;
   * after a third of it, behind the request. Default 60 s.
   */
  readonly freshMs?: number
  /** A key found wrong is asked for again after this time. Default 5 s. */
  readonly negativeMs?: number
  /** How long a good key is believed while PostgreSQL is away. Default 24 h. */
  readonly staleMs?: number
  /** Keys remembered at most, good and wrong ones apart, so that guesses cannot push out good keys. */
  readonly maxEntries?: number
}

interface Remembered {
  readonly decision: KeyDecision & { readonly kind: 'ok' }
  readonly checkedAtMs: number
  readonly expiresAtMs: number
}

interface KeyRow {
  readonly [column: string]: unknown
  readonly id: string
  readonly project_id: string
  readonly kind: ApiKeyKind
  readonly digest: Buffer
  readonly expires_at: Date | null
  readonly stale_use: boolean
  readonly log_generation: number
  readonly settings: unknown
}

const lookupDeadlineMs = 1_000
/** After a failed look-up PostgreSQL is left alone for this time: waiting requests would only pile up. */
const pauseAfterFailureMs = 1_000
/** A primary that is taken to be away has this time to say something else of a key than a replica. */
const primaryPatienceMs = 400
/** For this long after one nobody waits for PostgreSQL who can go on with what is known: it is tried behind. */
const awayAfterFailureMs = 10_000
const maxLookups = 200

/** A key store over the table `api_keys`. */
export function createKeyStore(options: KeyStoreOptions): KeyStore {
  const { clock, log, freshMs = 60_000, negativeMs = 5_000, staleMs = 86_400_000, maxEntries = 10_000 } = options
  // By the key as it was sent: a hash of each request's key would cost more than all of the rest of the look-up.
  const good = createBoundedMap<string, Remembered>(maxEntries)
  const wrong = createBoundedMap<string, number>(maxEntries)
  const lookups = new Map<string, Promise<KeyDecision>>()
  let failedAtMs = Number.NEGATIVE_INFINITY
  // A replica answered that nobody knows to be whole: the primary is away.
  let lateAtMs = Number.NEGATIVE_INFINITY

  const isPausing = (): boolean => clock.monotonic() - failedAtMs < pauseAfterFailureMs
  const isAway = (): boolean => clock.monotonic() - Math.max(failedAtMs, lateAtMs) < awayAfterFailureMs
  const decisionOf = (entry: Remembered): KeyDecision =>
    clock.now() >= entry.expiresAtMs ? { kind: 'invalid' } : entry.decision
  const remembered = (rawKey: string, maxAgeMs: number): KeyDecision | undefined => {
    const entry = good.get(rawKey)
    if (entry === undefined || clock.monotonic() - entry.checkedAtMs >= maxAgeMs) return undefined
    return decisionOf(entry)
  }

  const lookUp = async (rawKey: string, key: ParsedApiKey): Promise<KeyDecision> => {
    const fallback = (): KeyDecision => remembered(rawKey, staleMs) ?? { kind: 'unavailable' }
    if (isPausing()) return fallback()
    try {
      const entry = await withDeadline(readKey(options, key, freshMs), lookupDeadlineMs, clock, 'look up an API key')
      failedAtMs = Number.NEGATIVE_INFINITY
      if (entry === undefined) {
        good.delete(rawKey)
        wrong.set(rawKey, clock.monotonic())
        return { kind: 'invalid' }
      }
      wrong.delete(rawKey)
      const ageMs = clock.monotonic() - entry.checkedAtMs
      lateAtMs = ageMs >= freshMs ? clock.monotonic() : Number.NEGATIVE_INFINITY
      if (ageMs >= staleMs) return fallback()
      good.set(rawKey, entry)
      return entry.decision
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      failedAtMs = clock.monotonic()
      log.warn({ err: error }, 'api key not looked up')
      return fallback()
    }
  }

  const startLookUp = (rawKey: string, key: ParsedApiKey): Promise<KeyDecision> => {
    const lookup = lookUp(rawKey, key).finally(() => lookups.delete(rawKey))
    lookups.set(rawKey, lookup)
    return lookup
  }
  const renewBehind = (rawKey: string): void => {
    if (lookups.has(rawKey) || lookups.size >= (isAway() ? 1 : maxLookups) || isPausing()) return
    const key = parseApiKey(rawKey)
    if (key !== undefined) void startLookUp(rawKey, key)
  }

  const decide = (rawKey: string): KeyDecision | Promise<KeyDecision> => {
    const entry = good.get(rawKey)
    if (entry !== undefined) {
      const ageMs = clock.monotonic() - entry.checkedAtMs
      if (ageMs >= freshMs / 3 && ageMs < staleMs) renewBehind(rawKey)
      if (ageMs < freshMs || (isAway() && ageMs < staleMs)) return decisionOf(entry)
    }
    const key = parseApiKey(rawKey)
    if (key === undefined) return { kind: 'invalid' }
    const wrongSinceMs = wrong.get(rawKey)
    if (wrongSinceMs !== undefined && clock.monotonic() - wrongSinceMs < negativeMs) return { kind: 'invalid' }
    const running = lookups.get(rawKey)
    if (running !== undefined) return running
    if (lookups.size >= maxLookups) return remembered(rawKey, staleMs) ?? { kind: 'unavailable' }
    return startLookUp(rawKey, key)
  }

  return {
    authenticate: (rawKey, need) => {
      const decision = decide(rawKey)
      return decision instanceof Promise ? decision.then((settled) => permit(settled, need)) : permit(decision, need)
    }
  }
}

function permit(decision: KeyDecision, need: KeyNeed): KeyDecision {
  return decision.kind === 'ok' && need === 'read' && decision.keyKind === 'write' ? { kind: 'forbidden' } : decision
}

/** The key as the table has it; undefined when it is unknown, revoked, expired, or its secret is another one. */
async function readKey(options: KeyStoreOptions, key: ParsedApiKey, freshMs: number): Promise<Remembered | undefined> {
  const { postgres, reads, clock } = options
  const fromPrimary = async (): Promise<Remembered | undefined> => {
    const [row] = await postgres.query<KeyRow>(keyStatement, [key.id])
    return toRemembered(options, key, row, clock.monotonic())
  }
  if (reads === undefined) return await fromPrimary()
  // A replica may not know yet that the key is revoked: what it says is as old as what it is known to have.
  const { rows, from, checkedAtMs } = await reads.ask<KeyRow>(keyStatement, [key.id])
  const found = toRemembered(options, key, rows[0], checkedAtMs)
  if (from === 'primary') return found
  if (found === undefined) return await fromPrimary()
  if (clock.monotonic() - checkedAtMs < freshMs) return found
  return await withDeadline(fromPrimary(), primaryPatienceMs, clock, 'look up an API key').catch((error: unknown) => {
    if (error instanceof AppError) return found
    throw error
  })
}

const keyStatement = `SELECT k.id, k.project_id, k.kind, k.digest, k.expires_at, p.log_generation, p.settings,
    (k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 hour') AS stale_use
  FROM api_keys k JOIN projects p ON p.id = k.project_id WHERE k.id = $1 AND k.revoked_at IS NULL`

function toRemembered(
  options: KeyStoreOptions,
  key: ParsedApiKey,
  row: KeyRow | undefined,
  checkedAtMs: number
): Remembered | undefined {
  const { postgres, pepper, clock, log } = options
  const digest = digestSecret(pepper, key.secret)
  // An unknown id compares too, so that it takes no less time than a wrong secret.
  const same = sameDigest(digest, row?.digest ?? Buffer.alloc(digest.byteLength))
  if (row === undefined || !same || row.kind !== key.kind) return undefined
  const expiresAtMs = row.expires_at?.getTime() ?? Number.POSITIVE_INFINITY
  if (clock.now() >= expiresAtMs) return undefined
  if (row.stale_use) {
    // Written for people who tidy up keys, at most hourly; a request never waits for it.
    postgres
      .query('UPDATE api_keys SET last_used_at = now() WHERE id = $1', [row.id])
      .catch((error: unknown) => log.debug({ err: error }, 'last use of an api key not written'))
  }
  return { decision: toKnown(options, row), checkedAtMs, expiresAtMs }
}

function toKnown({ log, onBadSetting }: KeyStoreOptions, row: KeyRow): Remembered['decision'] {
  const { settings, problems } = parseProjectSettings(row.settings)
  if (problems.length > 0) log.warn({ project: row.project_id, problems }, 'project settings not understood')
  for (const _problem of problems) onBadSetting?.()
  return {
    kind: 'ok',
    projectId: row.project_id,
    logGeneration: row.log_generation,
    settings,
    keyId: row.id,
    keyKind: row.kind
  }
}

/** Those of `keyIds` that are revoked, expired or gone. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function endedKeys(postgres: Queryable, keyIds: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await postgres.query<{ readonly id: string }>(
    `SELECT id FROM unnest($1::text[]) AS asked (id) WHERE NOT EXISTS (
       SELECT FROM api_keys k WHERE k.id = asked.id AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
     )`,
    [keyIds]
  )
  return new Set(rows.map(({ id }) => id))
}
