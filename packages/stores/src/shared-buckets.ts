// Token buckets that all processes share, in the deduplication Redis. Processes decide by buckets of their own and tell
// what they gave away; the reply is how long the shared bucket takes to be full, which may be more than it holds.
import { createHash } from 'node:crypto'
import type { EventRate } from '@millrace/contracts'
import { defineScript } from './redis-script.ts'
import type { Redis } from './redis.ts'

/** What a bucket is for: all events of a project, those of one of its event types, or of one of its users. */
export type BucketScope = 'project' | 'type' | 'user'

/** Tokens that this process has given away since it last told. */
export interface Spending {
  readonly projectId: string
  /** `query`: the bytes that its queries read. */
  readonly scope: BucketScope | 'query'
  /** The event type or user id; empty for the project and its queries. */
  readonly subject: string
  readonly rate: EventRate
  readonly count: number
}

export interface SharedBuckets {
  /**
   * Takes what was spent from the shared buckets. Milliseconds until each is full, in order. A call per project, all in
   * one write. Throws PIPE_REDIS_UNAVAILABLE or PIPE_REDIS_REFUSED; the spending is then partly told.
   */
  spend(spendings: readonly Spending[]): Promise<readonly number[]>
}

/** KEYS = buckets of one project; ARGV = rate per second, burst, count for each. Reply: ms until full for each. */
const spendScript = `#!lua
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local replies = {}
for i, key in ipairs(KEYS) do
  local rate, burst, count = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local full = math.max(tonumber(redis.call('GET', key) or 0), now) + count * 1000 / rate
  -- A debt is repaid, but a wrong setting must not bar a project for hours after it was put right.
  full = math.min(full, now + burst * 1000 / rate + 10000)
  local wait = math.ceil(full - now)
  if wait > 0 then redis.call('SET', key, string.format('%.3f', full), 'PX', wait) end
  replies[i] = wait
end
return replies`

const maxKeysPerCall = 500

/** Shared buckets in `redis`, under keys `limit:{project}:...`. */
export function createSharedBuckets(redis: Redis): SharedBuckets {
  const toWaits = (reply: unknown): readonly number[] => (reply as readonly unknown[]).map(Number)
  const script = defineScript(redis, spendScript, toWaits, { declaresAllKeys: true })
  return {
    async spend(spendings) {
      const groups = groupByProject(spendings)
      const outcomes = await script.runAll(
        groups.map((group) => ({
          keys: group.map(({ spending }) => bucketKey(spending)),
          args: group.flatMap(({ spending: { rate, count } }) => [rate.eventsPerSecond, rate.burst, count])
        }))
      )
      const waits = spendings.map(() => 0)
      for (const [at, outcome] of outcomes.entries()) {
        if (!outcome.ok) throw outcome.error
        for (const [place, { index }] of (groups[at] ?? []).entries()) waits[index] = outcome.value[place] ?? 0
      }
      return waits
    }
  }
}

interface Placed {
  readonly index: number
  readonly spending: Spending
}

/** Spendings of one project together, since a script's keys must share a slot; long groups in parts. */
function groupByProject(spendings: readonly Spending[]): readonly (readonly Placed[])[] {
  const groups: Placed[][] = []
  const open = new Map<string, Placed[]>()
  for (const [index, spending] of spendings.entries()) {
    let group = open.get(spending.projectId)
    if (group === undefined || group.length >= maxKeysPerCall) {
      group = []
      groups.push(group)
      open.set(spending.projectId, group)
    }
    group.push({ index, spending })
  }
  return groups
}

/** A user id may be a person's address: only a hash of it leaves the process. */
function bucketKey({ projectId, scope, subject }: Spending): string {
  if (scope === 'project' || scope === 'query') return `limit:{${projectId}}:${scope}`
  const name = scope === 'type' ? subject : createHash('sha256').update(subject).digest('base64url').slice(0, 22)
  return `limit:{${projectId}}:${scope}:${name}`
}
