// Every Redis with the policy of its role, room left, nothing forgotten, and what it writes written.
import { parseRedisInfo } from '@millrace/stores/redis-info'
import { readRedisPolicy, redisPolicies } from '@millrace/stores/redis-policy'
import type { RedisRole } from '@millrace/stores/redis-policy'
import { findingsOf, orOk, percent } from './finding.ts'
import type { Finding } from './finding.ts'

/** One Redis, as far as it is asked. */
export interface AskedRedis {
  readonly role: RedisRole
  command(name: string, ...args: readonly string[]): Promise<unknown>
}

type Settings = Awaited<ReturnType<typeof readRedisPolicy>>
type Info = ReturnType<typeof parseRedisInfo>

const leastMajor = 7
const fullShare = 0.85

/** Looks at the servers of all roles. Throws PIPE_REDIS_UNAVAILABLE. */
export async function checkRedis(servers: readonly AskedRedis[]): Promise<readonly Finding[]> {
  const redis = findingsOf('redis')
  const found = await Promise.all(servers.map(async (server) => ({ role: server.role, ...(await ask(server)) })))
  const shared = found.filter(({ info }, index) =>
    found.some((other, at) => at < index && other.info.get('run_id') === info.get('run_id'))
  )
  return [
    ...found.flatMap(({ role, settings, info }) =>
      orOk(
        [...policyFindings(role, settings), ...stateFindings(role, info)],
        redis.ok(role, `version ${info.get('redis_version')}, policy as the role needs it`)
      )
    ),
    ...shared.map(({ role }) =>
      redis.failure(role, 'shares its server with another role', 'a server of its own: their policies differ')
    )
  ]
}

async function ask(server: AskedRedis): Promise<{ readonly settings: Settings; readonly info: Info }> {
  const settings = await readRedisPolicy(server.role, (name, ...args) => server.command(name, ...args))
  return { settings, info: parseRedisInfo(await server.command('INFO')) }
}

function policyFindings(role: RedisRole, settings: Settings): readonly Finding[] {
  return Object.entries(redisPolicies[role]).flatMap(([name, wanted]) => {
    const value = settings.get(name)
    if (value === wanted) return []
    const fix = `redis-cli -u "$REDIS_${role.toUpperCase()}_URL" config set ${name} ${wanted}, and in the file of the server`
    return [findingsOf('redis').failure(role, `${name} is ${value ?? 'unknown'}, the role needs ${wanted}`, fix)]
  })
}

function stateFindings(role: RedisRole, info: Info): readonly Finding[] {
  const redis = findingsOf('redis')
  const findings: Finding[] = []
  const count = (name: string): number => Number(info.get(name) ?? 0)
  if (Number.parseInt(info.get('redis_version') ?? '', 10) < leastMajor)
    findings.push(redis.failure(role, `version ${info.get('redis_version')}`, `Redis ${leastMajor} or newer`))
  if (role !== 'cache' && count('evicted_keys') > 0) {
    const detail = `has forgotten ${count('evicted_keys')} keys since it started`
    const fix = 'maxmemory-policy noeviction and more memory; state: npx millrace epoch new --flip'
    findings.push(redis.failure(role, detail, fix))
  }
  const [used, most] = [count('used_memory'), count('maxmemory')]
  if (role !== 'cache' && most > 0 && used > most * fullShare)
    findings.push(
      redis.warning(role, `memory is used to ${percent(used, most)}`, 'raise maxmemory (docs/troubleshooting.md)')
    )
  for (const [name, what] of [
    ['aof_last_write_status', 'its append-only file'],
    ['rdb_last_bgsave_status', 'its snapshot']
  ] as const) {
    if ((info.get(name) ?? 'ok') !== 'ok')
      findings.push(redis.failure(role, `could not write ${what}`, 'disk space and rights of its folder'))
  }
  return findings
}
