// Answers in the Redis of the cache role, behind a breaker: whatever happens to Redis, reading and writing end soon and
// never throw.
import { randomBytes } from 'node:crypto'
import type { Clock } from '@millrace/kernel'
import { createBoundedMap } from '@millrace/stores/bounded-map'
import type { Breaker } from '@millrace/stores/breaker'
import { defineScript } from '@millrace/stores/redis-script'
import type { Redis } from '@millrace/stores/redis'
import { generationKeyOf, lockKeyOf } from './cache-key.ts'
import type { CacheReplica } from './cache-replica.ts'
import { openEntry, sealEntry } from './envelope.ts'
import type { Entry } from './envelope.ts'

/**
 * `away`: Redis does not answer. Otherwise the generation of the project's answers, and the one that was found. `isLate`: a
 * replica said so, the entry is there and fresh, and the generation may be an older one.
 */
export type CacheRead =
  | { readonly kind: 'away' }
  | {
      readonly kind: 'read'
      readonly generation: string
      readonly entry: Entry | undefined
      readonly isLate: boolean
    }

/** A lock that is held is kept until its release; that of a process which died ends by itself. */
export type CacheLock =
  | { readonly kind: 'held'; readonly release: () => Promise<void> }
  | { readonly kind: 'taken' | 'away' }

export interface AnswerCache {
  /** `any`: a fresh answer of a replica will do. */
  read(projectId: string, key: string, from?: 'any' | 'master'): Promise<CacheRead>
  /** The generation of a project's answers; undefined when Redis does not answer, or has none. */
  generation(projectId: string): Promise<string | undefined>
  /** Resolves when it is stored, or cannot be. */
  write(entry: Entry): Promise<void>
  /** Takes the lock of `key`. */
  lock(key: string): Promise<CacheLock>
  /**
   * Makes every answer of a project void, for all processes; resolves with the generation that counts from now on. Throws
   * PIPE_REDIS_UNAVAILABLE, PIPE_BREAKER_OPEN.
   */
  purge(projectId: string): Promise<string>
}

export interface AnswerCacheDeps {
  readonly redis: Pick<Redis, 'command' | 'bytes'>
  readonly breaker: Breaker
  /** Where answers are looked up first. */
  readonly replica?: Pick<CacheReplica, 'get' | 'found'> | undefined
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
  const { redis, breaker, replica, lockMs, maxBytes, onBad, clock } = deps
  // The script is bound to a Redis; of that it needs the commands alone.
  const hold = defineScript(redis as Redis, holdScript, Number, { declaresAllKeys: true })
  /** As the master said last: what a replica says of an older one does not count. */
  const generations = createBoundedMap<string, string>(rememberedGenerations)
  const orAway = async <T>(work: () => Promise<T>): Promise<T | undefined> =>
    await breaker.run(work).catch(() => undefined)

  const open = (projectId: string, key: string, bytes: Buffer | null, generation: string): Entry | undefined => {
    if (bytes === null) return undefined
    const opened = openEntry(bytes, { projectId, key })
    if (opened.kind !== 'entry') onBad(opened.kind, key)
    return opened.kind === 'entry' && opened.entry.generation === generation ? opened.entry : undefined
  }
  /** Makes the marker that the project does not have, or that Redis forgot: entries of before are void then. */
  const mark = async (projectId: string): Promise<string> => {
    const made = newGeneration()
    if ((await redis.command('SET', generationKeyOf(projectId), made, 'NX')) !== null) return made
    return String((await redis.command('GET', generationKeyOf(projectId))) ?? made)
  }
  const readReplica = async (projectId: string, key: string): Promise<CacheRead | undefined> => {
    const [bytes = null, marker = null] = (await replica?.get([key, generationKeyOf(projectId)])) ?? []
    const generation = marker?.toString()
    if (generation === undefined || generation !== (generations.get(projectId) ?? generation)) return undefined
    const entry = open(projectId, key, bytes, generation)
    const isFresh = entry !== undefined && clock.now() < entry.freshUntilMs
    return isFresh ? { kind: 'read', generation, entry, isLate: true } : undefined
  }

  return {
    async read(projectId, key, from = 'master') {
      const late = from === 'any' && replica !== undefined ? await readReplica(projectId, key) : undefined
      if (late !== undefined) {
        replica?.found('replica')
        return late
      }
      const found = await orAway(async () => {
        // One slot: the key and the generation have the same tag.
        const [bytes, marker] = (await redis.bytes('MGET', key, generationKeyOf(projectId))) as (Buffer | null)[]
        return { bytes: bytes ?? null, generation: marker?.toString() ?? (await mark(projectId)) }
      })
      if (found === undefined) return { kind: 'away' }
      generations.set(projectId, found.generation)
      if (from === 'any') replica?.found('primary')
      const entry = open(projectId, key, found.bytes, found.generation)
      return { kind: 'read', generation: found.generation, entry, isLate: false }
    },
    async generation(projectId) {
      const marker = await orAway(() => redis.command('GET', generationKeyOf(projectId)))
      if (typeof marker !== 'string') return undefined
      generations.set(projectId, marker)
      return marker
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
      const generation = newGeneration()
      await breaker.run(() => redis.command('SET', generationKeyOf(projectId), generation))
      generations.set(projectId, generation)
      return generation
    }
  }
}

const rememberedGenerations = 10_000

function newGeneration(): string {
  return randomBytes(9).toString('base64url')
}
