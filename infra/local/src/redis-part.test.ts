import { expect, test } from 'vitest'
import { redisArguments } from './redis-part.ts'
import type { RedisRole } from './redis-part.ts'

function option(role: RedisRole, name: string): string | undefined {
  const words = redisArguments(role, { port: 7001, folder: '/d' })
  return words[words.indexOf(`--${name}`) + 1]
}

test.each([
  ['dedup', 'noeviction', 'no'],
  ['state', 'noeviction', 'yes'],
  ['cache', 'allkeys-lru', 'no']
] as const)('%s runs with %s and appendonly %s, on the loopback only', (role, policy, appendOnly) => {
  expect(option(role, 'maxmemory-policy')).toBe(policy)
  expect(option(role, 'appendonly')).toBe(appendOnly)
  expect(option(role, 'bind')).toBe('127.0.0.1')
  expect(option(role, 'port')).toBe('7001')
  expect(option(role, 'dir')).toBe('/d')
})
