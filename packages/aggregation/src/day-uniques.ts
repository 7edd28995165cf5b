// Distinct members over several windows: HyperLogLogs of the same dimension, merged. The counts of single windows cannot
// be added, since a user of two hours is one user of the day.
import { defineScript } from '@millrace/stores/redis-script'
import type { Redis } from '@millrace/stores/redis'
import { pointerKey } from './keys.ts'
import { openLua } from './lua-parts.ts'
import { partsOf, toRefused } from './script-replies.ts'
import type { Refused } from './script-replies.ts'

export type UniquesReply = { readonly kind: 'uniques'; readonly counts: readonly number[] } | Refused

/**
 * Distinct members of each of `dimensions` over the windows `names`, approximate (0.81 % of standard error). Throws
 * PIPE_REDIS_UNAVAILABLE.
 */
export type ReadUniques = (
  project: string,
  epoch: number,
  names: readonly string[],
  dimensions: readonly string[]
) => Promise<UniquesReply>

const uniquesLua = `#!lua flags=allow-oom
${openLua}
if call('GET', KEYS[1]) ~= a.e then return {'EPOCH'} end
local counts = {}
for i, dimension in ipairs(a.dims) do
  local keys = {}
  for j, name in ipairs(a.names) do keys[j] = 'uniq:' .. base .. ':' .. name .. ':' .. dimension end
  counts[i] = #keys == 0 and 0 or call('PFCOUNT', unpack(keys))
end
return {'OK', counts}`

/** Binds the script to `redis`. */
export function createReadUniques(redis: Redis): ReadUniques {
  const script = defineScript(redis, uniquesLua, toReply)
  return (project, epoch, names, dims) =>
    script.run({ keys: [pointerKey(project)], args: [JSON.stringify({ e: String(epoch), names, dims })] })
}

function toReply(reply: unknown): UniquesReply {
  const { kind, rest } = partsOf(reply)
  if (kind === 'OK') return { kind: 'uniques', counts: (rest[0] as readonly number[]).map(Number) }
  return toRefused(kind, rest[0])
}
