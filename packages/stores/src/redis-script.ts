// Lua scripts by their hash. The text travels once per server life: a server that does not know the hash (restart,
// failover) is told the text and asked again, which is safe because an unknown script has run nothing.
//
// A script that makes up keys from its first one sees half of them while a cluster moves its slot: the old node has lost
// some, the new one lacks some, and both would run it. With a second declared key that never exists neither does: the
// nodes answer TRYAGAIN until the move is over, and the caller waits as for any Redis that is away.
import { createHash } from 'node:crypto'
import { AppError } from '@millrace/kernel'
import { toRedisError } from './redis-errors.ts'
import type { Redis, RedisArg, RedisReply } from './redis.ts'

export interface ScriptCall {
  readonly keys: readonly string[]
  readonly args: readonly RedisArg[]
}

/** A script bound to a Redis. `T` is what `parse` makes of a reply. */
export interface RedisScript<T> {
  /** Throws PIPE_REDIS_UNAVAILABLE or PIPE_REDIS_REFUSED. */
  run(call: ScriptCall): Promise<T>
  /** All calls in one write. One outcome per call, in order; never throws for what Redis does. */
  runAll(calls: readonly ScriptCall[]): Promise<readonly ScriptOutcome<T>[]>
}

export type ScriptOutcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: AppError }

export interface ScriptOptions {
  /** The script touches no key but those of the call. Others get one more key in a cluster, the last one. */
  readonly declaresAllKeys?: boolean
}

/** Binds `source` to `redis`; `parse` checks and types the reply and may throw for what the script never returns. */
export function defineScript<T>(
  redis: Redis,
  source: string,
  parse: (reply: unknown) => T,
  { declaresAllKeys = false }: ScriptOptions = {}
): RedisScript<T> {
  const sha = createHash('sha1').update(source).digest('hex')
  const keysOf = redis.isCluster && !declaresAllKeys ? withAbsentKey : (keys: readonly string[]) => keys
  const send = (command: 'EVALSHA' | 'EVAL', script: string, call: ScriptCall) => {
    const keys = keysOf(call.keys)
    return [command, script, keys.length, ...keys, ...call.args] as const
  }
  const evalSha = (call: ScriptCall) => send('EVALSHA', sha, call)
  const evalText = (call: ScriptCall) => send('EVAL', source, call)
  const outcome = (reply: RedisReply): ScriptOutcome<T> => (reply.ok ? { ok: true, value: parse(reply.value) } : reply)
  return {
    async run(call) {
      try {
        return parse(await redis.command(...evalSha(call)))
      } catch (error) {
        if (!isUnknownScript(error)) throw error
        return parse(await redis.command(...evalText(call)))
      }
    },
    async runAll(calls) {
      const replies = await redis.pipeline(calls.map(evalSha))
      const missed = replies.flatMap((reply, index) => (!reply.ok && isUnknownScript(reply.error) ? [index] : []))
      if (missed.length === 0) return replies.map(outcome)
      const again = await redis
        .pipeline(missed.flatMap((index) => (calls[index] === undefined ? [] : [evalText(calls[index])])))
        .catch((error: unknown) => missed.map((): RedisReply => ({ ok: false, error: toRedisError(error, 'EVAL') })))
      return replies.map((reply, index) => outcome(again[missed.indexOf(index)] ?? reply))
    }
  }
}

/** `keys` and a key of the same slot that nobody ever writes. */
function withAbsentKey(keys: readonly string[]): readonly string[] {
  const [first = ''] = keys
  const open = first.indexOf('{')
  const end = open < 0 ? -1 : first.indexOf('}', open + 1)
  return [...keys, `steady:{${end > open + 1 ? first.slice(open + 1, end) : first}}`]
}

function isUnknownScript(error: unknown): boolean {
  return error instanceof AppError && error.details['reply'] === 'NOSCRIPT'
}
