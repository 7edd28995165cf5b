// Answers in the Redis of the cache role, behind a breaker: whatever happens to Redis, reading and writing end soon and
// never throw.
import { randomBytes } from 'node:crypto'
import type { Clock } from '@millrace/kernel'
import type { Breaker } from '@millrace/stores/breaker'
import { defineScript } from '@millrace/stores/redis-script'
import type { Redis } from '@millrace/stores/redis'
import { generationKeyOf, lockKeyOf } from './cache-key.ts'
import { openEntry, sealEntry } from './envelope.ts'
import type { Entry } from './envelope.ts'

/** `away`: Redis does not answer. Otherwise the generation of the project's answers, and the one that was found. */
export type CacheRead =
  | { readonly kind: 'away' }
  | { readonly kind: 'read'; readonly generation: string; readonly entry: Entry | undefined }

/** A lock that is held is kept until its release; that of a process which died ends by itself. */
export type CacheLock =
  | { readonly kind: 'held'; readonly release: () => Promise<void> }
  | { readonly kind: 'taken' | 'away' }

export interface AnswerCache {
  read(projectId: string, key: string): Promise<CacheRead>
  /** Resolves when it is stored, or cannot be. */
  write(entry: Entry): Promise<void>
  /** Takes the lock of `key`. */
  lock(key: string): Promise<CacheLock>
  /** Makes every answer of a project void, for all processes. Throws PIPE_REDIS_UNAVAILABLE, PIPE_BREAKER_OPEN. */
  purge(projectId: string): Promise<void>
}

export interface AnswerCacheDeps {
  readonly redis: Pick<Redis, 'command' | 'bytes'>
  readonly breaker: Breaker
  /** No entry lives longer. */
  readonly ttlMs: number
  /** The lock of a process that died ends after this time; it is renewed three times as often. */
  readonly lockMs: number
  readonly clock: Clock
  /** Larger bodies are not stored. */
  readonly maxBytes: number
  /** What was found under a key is of another project or key (`mismatch`), or nothing that can be read. */
  readonly onBad: (kind: 'mismatch' | 'broken', key: string) => void
}

/** KEYS = lock; ARGV = token, ms: only its owner renews or (0 ms) releases it. */
const holdScript = `#!lua
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`

/** Answers in `redis`. */
export function createAnswerCache(deps: AnswerCacheDeps): AnswerCache {
  const { redis, breaker, ttlMs, lockMs, maxBytes, onBad, clock } = deps
  // The script is bound to a Redis; of that it needs the commands alone.
  const hold = defineScript(redis as Redis, holdScript, Number, { declaresAllKeys: true })
  const orAway = async <T>(work: () => Promise<T>): Promise<T | undefined> =>
    await breaker.run(work).catch(() => undefined)

  return {
    async read(projectId, key) {
      // One slot: the key and the generation have the same tag.
      const found = await orAway(() => redis.bytes('MGET', key, generationKeyOf(projectId)))
      if (found === undefined) return { kind: 'away' }
      const [bytes, marker] = found as readonly [Buffer | null, Buffer | null]
      const generation = marker?.toString() ?? ''
      if (bytes === null) return { kind: 'read', generation, entry: undefined }
      const opened = openEntry(bytes, { projectId, key })
      if (opened.kind !== 'entry') onBad(opened.kind, key)
      const isGood = opened.kind === 'entry' && opened.entry.generation === generation
      return { kind: 'read', generation, entry: isGood ? opened.entry : undefined }
    },
    async write(entry) {
      if (entry.body.byteLength > maxBytes) return
      const keepMs = Math.max(1, entry.staleUntilMs - entry.madeAtMs)
      await orAway(() => redis.command('SET', entry.key, sealEntry(entry), 'PX', keepMs))
    },
    async lock(key) {
      const token = randomBytes(16).toString('base64url')
      const reply = await orAway(async () => ({
        got: await redis.command('SET', lockKeyOf(key), token, 'NX', 'PX', lockMs)
      }))
      if (reply === undefined) return { kind: 'away' }
      if (reply.got !== 'OK') return { kind: 'taken' }
      const holdFor = (ms: number): Promise<unknown> =>
        orAway(() => hold.run({ keys: [lockKeyOf(key)], args: [token, ms] }))
      const ended = new AbortController()
      const renew = async (): Promise<void> => {
        while (!ended.signal.aborted) {
          await clock.sleep(lockMs / 3, ended.signal).catch(() => undefined)
          if (!ended.signal.aborted) await holdFor(lockMs)
        }
      }
      void renew()
      const release = async (): Promise<void> => {
        ended.abort()
        await holdFor(0)
      }
      return { kind: 'held', release }
    },
    async purge(projectId) {
      // Outlives every entry of the generations before.
      const generation = randomBytes(9).toString('base64url')
      await breaker.run(() => redis.command('SET', generationKeyOf(projectId), generation, 'PX', 2 * ttlMs))
    }
  }
}
