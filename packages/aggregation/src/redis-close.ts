// `close` and `remove` on Redis. The owner of partition 0 calls both; they are safe whoever calls them, and how often.
import { defineScript } from '@millrace/stores/redis-script'
import type { Redis } from '@millrace/stores/redis'
import { settleMs } from './close.ts'
import type { ClockReply, TopicCount } from './close.ts'
import { closeLua, removeLua } from './close-lua.ts'
import { pointerKey } from './keys.ts'
import { partsOf, toRefused } from './script-replies.ts'
import type { WrongType } from './script-replies.ts'
import { sessionMetricDelayMs, sessionMetricKeepMs } from './sessions.ts'
import type { Timing } from './timing.ts'

/** What the scripts answer beyond the reducers. */
export type RedisClockReply = ClockReply | WrongType

/**
 * Both take at most `maxKeys` of `limit`; call again while `changed` is that many. Throws PIPE_REDIS_UNAVAILABLE when the
 * outcome is not known (call again) and PIPE_REDIS_REFUSED when Redis failed the script (then the epoch is broken).
 */
export interface RedisClose {
  /** Closes windows and sessions that are due; what closed sessions count for goes into the session metrics. */
  close(project: string, topic: TopicCount, callId: string): Promise<RedisClockReply>
  /** Deletes seen hours, emitted windows with their HyperLogLogs and emitted sessions; of a build seen hours alone. */
  remove(project: string, topic: TopicCount): Promise<RedisClockReply>
}

/** Most keys that one call takes; a window counts one more for each HyperLogLog, of which the last is taken whole. */
export const maxKeys = 500

/** Binds both scripts to `redis`. */
export function createRedisClose(redis: Redis, timing: Timing): RedisClose {
  const close = defineScript(redis, closeLua, toReply)
  const remove = defineScript(redis, removeLua, toReply)
  const seen = timing.latenessMs + timing.seenKeepMs
  const lengths = {
    idle: timing.sessionIdleMs + settleMs(timing),
    opens: sessionMetricDelayMs,
    keeps: sessionMetricKeepMs
  }
  return {
    close: (project, topic, id) =>
      close.run({ keys: [pointerKey(project)], args: [JSON.stringify({ ...toArgs(topic), ...lengths, id })] }),
    remove: (project, topic) => {
      const args = { ...toArgs(topic), seen, hour: timing.hourMs, keep: timing.sessionKeepMs }
      return remove.run({ keys: [pointerKey(project)], args: [JSON.stringify(args)] })
    }
  }
}

function toArgs({ epoch, partitions, countedAtMs, limit }: TopicCount): object {
  return { e: String(epoch), n: partitions, at: countedAtMs, limit: Math.min(limit, maxKeys) }
}

function toReply(reply: unknown): RedisClockReply {
  const { kind, rest } = partsOf(reply)
  return kind === 'OK' ? { kind: 'ok', changed: Number(rest[0]) } : toRefused(kind, rest[0])
}
