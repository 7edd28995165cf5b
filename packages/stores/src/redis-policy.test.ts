import { describe, expect, it } from 'vitest'
import { checkRedisPolicy } from './redis-policy.ts'

const serverWith =
  (settings: Readonly<Record<string, string>>, shape: 'list' | 'object' | 'map' = 'list') =>
  async (_config: string, _get?: string, name = ''): Promise<unknown> => {
    const found = Object.entries(settings).filter(([key]) => key === name)
    return shape === 'list' ? found.flat() : shape === 'map' ? new Map(found) : Object.fromEntries(found)
  }

describe('checkRedisPolicy', () => {
  it.each(['list', 'object', 'map'] as const)(
    'passes a server with the right settings, answered as %s',
    async (shape) => {
      await checkRedisPolicy('dedup', serverWith({ 'maxmemory-policy': 'noeviction' }, shape))
      await checkRedisPolicy('state', serverWith({ 'maxmemory-policy': 'noeviction', appendonly: 'yes' }, shape))
      await checkRedisPolicy('cache', serverWith({ 'maxmemory-policy': 'allkeys-lru' }, shape))
    }
  )

  it.each([
    ['dedup', { 'maxmemory-policy': 'allkeys-lru' }, 'allkeys-lru'],
    ['state', { 'maxmemory-policy': 'noeviction', appendonly: 'no' }, 'no'],
    ['cache', { 'maxmemory-policy': 'noeviction' }, 'noeviction'],
    ['dedup', {}, null]
  ] as const)('refuses for %s %o', async (role, settings, found) => {
    await expect(checkRedisPolicy(role, serverWith(settings))).rejects.toMatchObject({
      code: 'PIPE_REDIS_POLICY',
      details: { role, found }
    })
  })
})
