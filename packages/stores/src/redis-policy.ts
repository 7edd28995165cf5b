// Each Redis role states how its server may forget. A dedup server that evicts forgets what it has seen, and one that
// may not evict its cache stops taking writes: both are found at start instead of in production.
import { AppError } from '@millrace/kernel'

export type RedisRole = 'dedup' | 'state' | 'cache'

/** The settings of the server that each role needs. */
export const redisPolicies: Readonly<Record<RedisRole, Readonly<Record<string, string>>>> = {
  dedup: { 'maxmemory-policy': 'noeviction' },
  state: { 'maxmemory-policy': 'noeviction', appendonly: 'yes' },
  cache: { 'maxmemory-policy': 'allkeys-lru' }
}

type Send = (name: string, ...args: readonly string[]) => Promise<unknown>

/** What the server that answers `send` has for each setting that `role` needs; undefined: it does not say. */
export async function readRedisPolicy(role: RedisRole, send: Send): Promise<ReadonlyMap<string, string | undefined>> {
  const found = new Map<string, string | undefined>()
  for (const setting of Object.keys(redisPolicies[role]))
    found.set(setting, settingOf(await send('CONFIG', 'GET', setting), setting))
  return found
}

/**
 * Throws PIPE_REDIS_POLICY when the server that answers `send` has other settings than `role` needs; what `send`
 * throws passes. Servers that hide CONFIG need it allowed for this user: not knowing is no reason to go on.
 */
export async function checkRedisPolicy(role: RedisRole, send: Send): Promise<void> {
  const policy = await readRedisPolicy(role, send)
  for (const [setting, wanted] of Object.entries(redisPolicies[role])) {
    const found = policy.get(setting)
    if (found === wanted) continue
    throw new AppError(
      'PIPE_REDIS_POLICY',
      `The Redis of the role '${role}' runs with ${setting} '${found ?? 'unknown'}', it needs '${wanted}'. ` +
        `Set it on the server, or point REDIS_${role.toUpperCase()}_URL at the right one.`,
      { details: { role, setting, wanted, found: found ?? null } }
    )
  }
}

/** RESP2 answers with a flat list, RESP3 with a map; the client hands out either. */
function settingOf(reply: unknown, setting: string): string | undefined {
  if (Array.isArray(reply)) {
    const flat: unknown[] = reply.flat()
    const at = flat.indexOf(setting)
    return at < 0 ? undefined : String(flat[at + 1])
  }
  const value: unknown = reply instanceof Map ? reply.get(setting) : Reflect.get(Object(reply), setting)
  return value === undefined ? undefined : String(value)
}
