import { AppError } from '@millrace/kernel'
import type { LiveGrant } from '@millrace/contracts'
import { describe, expect, it } from 'vitest'
import { createTickets } from './tickets.ts'
import { admit } from './upgrade.ts'

const grant: LiveGrant = {
  projectId: 'shop',
  allow: ['metrics'],
  personal: false,
  origins: ['https://shop.example']
}

/** As much of Redis as tickets need. */
function createMemoryRedis() {
  const values = new Map<string, string>()
  const sent: (readonly unknown[])[] = []
  return {
    values,
    sent,
    async command(name: string, ...args: readonly unknown[]) {
      sent.push([name, ...args])
      const key = String(args[0])
      if (name === 'SET') values.set(key, String(args[1]))
      const value = values.get(key) ?? null
      if (name === 'GETDEL') values.delete(key)
      return value
    }
  }
}

const ask = async (url: string, headers: Record<string, string> = {}, full?: 'full', trustProxy = false) => {
  const tickets = { redeem: async (ticket: string) => (ticket === 'good' ? grant : undefined) }
  const none = () => (full === undefined ? undefined : ({ code: 'rate_limited', detail: '' } as const))
  const admitted = await admit({ url, headers }, { tickets, full: none, trustProxy })
  return 'grant' in admitted ? 'admitted' : admitted.code
}

describe('admit', () => {
  it.each([
    ['/realtime?ticket=good', 'admitted'],
    ['/realtime?ticket=bad', 'unauthorized'],
    ['/realtime', 'unauthorized'],
    ['/realtime/?ticket=good', 'not_found'],
    ['/else?ticket=good', 'not_found'],
    ['//', 'not_found'],
    ['http://[', 'not_found']
  ])('answers %s with %s', async (url, expected) => {
    expect(await ask(url)).toBe(expected)
  })

  it('lets in pages that the project names, pages of its own, and what is no page', async () => {
    const url = '/realtime?ticket=good'
    expect(await ask(url, { origin: 'https://shop.example' })).toBe('admitted')
    expect(await ask(url, { origin: 'https://shop.example.evil' })).toBe('origin_not_allowed')
    expect(await ask(url, { origin: 'null' })).toBe('origin_not_allowed')
    expect(await ask(url, { origin: 'http://live.example:4003', host: 'live.example:4003' })).toBe('admitted')
    const proxied = { origin: 'https://live.example', 'x-forwarded-host': 'live.example', 'x-forwarded-proto': 'https' }
    expect(await ask(url, proxied)).toBe('origin_not_allowed')
    expect(await ask(url, proxied, undefined, true)).toBe('admitted')
  })

  it('says when there is no room, and when Redis is away', async () => {
    expect(await ask('/realtime?ticket=good', {}, 'full')).toBe('rate_limited')
    const tickets = {
      redeem: async () => {
        throw new AppError('PIPE_REDIS_UNAVAILABLE', 'away')
      }
    }
    const deps = { tickets, full: () => undefined, trustProxy: false }
    expect(await admit({ url: '/realtime?ticket=x', headers: {} }, deps)).toMatchObject({ code: 'unavailable' })
  })
})

describe('tickets', () => {
  it('are good once, and Redis never learns them', async () => {
    const redis = createMemoryRedis()
    const tickets = createTickets(redis, 60_000)
    const ticket = await tickets.issue(grant)
    expect(await tickets.redeem(ticket)).toEqual(grant)
    expect(await tickets.redeem(ticket)).toBeUndefined()
    expect(JSON.stringify(redis.sent)).not.toContain(ticket.slice(4))
    expect(redis.sent[0]?.slice(3)).toEqual(['PX', 60_000])
  })

  it('differ from each other, and what cannot be one is not looked up', async () => {
    const redis = createMemoryRedis()
    const tickets = createTickets(redis, 60_000)
    expect(await tickets.issue(grant)).not.toBe(await tickets.issue(grant))
    redis.sent.length = 0
    for (const text of ['', 'mrt_', 'x'.repeat(100_000), 'mrt_*']) expect(await tickets.redeem(text)).toBeUndefined()
    expect(redis.sent).toEqual([])
  })
})
