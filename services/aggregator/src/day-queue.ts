// Days that wait to be written to PostgreSQL, kept in Redis beside the state: what makes a day wait happens there, and
// PostgreSQL may be away. A day leaves when it is written, unless it was put in again meanwhile.
import type { Redis } from '@millrace/stores/redis'
import { defineScript } from '@millrace/stores/redis-script'

/** A day (start, ms) of one metric whose hours changed. */
export interface DirtyDay {
  readonly metric: string
  readonly dayMs: number
  /** Rises with each change. */
  readonly mark: string
}

export interface DayQueue {
  add(project: string, days: readonly { readonly metric: string; readonly dayMs: number }[]): Promise<void>
  list(project: string): Promise<readonly DirtyDay[]>
  /** Takes `day` out if it was not added again. */
  remove(project: string, day: DirtyDay): Promise<void>
  /** Days (start, ms) to be counted again from the warehouse. */
  addRecounts(project: string, days: readonly number[]): Promise<void>
  recounts(project: string): Promise<readonly number[]>
  removeRecounts(project: string, days: readonly number[]): Promise<void>
}

const removeLua = `#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1`

const daysKey = (project: string): string => `days:{${project}}`
const recountsKey = (project: string): string => `recount:{${project}}`

/** The queue of each project in `redis`. All of it throws PIPE_REDIS_UNAVAILABLE. */
export function createDayQueue(redis: Redis): DayQueue {
  const remove = defineScript(redis, removeLua, () => undefined)
  return {
    async add(project, days) {
      const all = days.map(({ metric, dayMs }) => ['HINCRBY', daysKey(project), `${metric}:${dayMs}`, 1] as const)
      for (const reply of await redis.pipeline(all)) if (!reply.ok) throw reply.error
    },
    async list(project) {
      const flat = (await redis.command('HGETALL', daysKey(project))) as readonly string[]
      const days: DirtyDay[] = []
      for (let index = 0; index < flat.length; index += 2) {
        const [metric = '', day = ''] = flat[index]?.split(':') ?? []
        days.push({ metric, dayMs: Number(day), mark: flat[index + 1] ?? '' })
      }
      return days
    },
    remove: (project, { metric, dayMs, mark }) =>
      remove.run({ keys: [daysKey(project)], args: [`${metric}:${dayMs}`, mark] }),
    async addRecounts(project, days) {
      if (days.length > 0) await redis.command('SADD', recountsKey(project), ...days)
    },
    async recounts(project) {
      return ((await redis.command('SMEMBERS', recountsKey(project))) as readonly string[]).map(Number)
    },
    async removeRecounts(project, days) {
      if (days.length > 0) await redis.command('SREM', recountsKey(project), ...days)
    }
  }
}
