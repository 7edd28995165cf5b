// Tickets: what a page shows instead of a key. One connection, one minute, one project. Redis keeps their hashes alone.
import { createHash, randomBytes } from 'node:crypto'
import { decodeLiveGrant, encodeLiveGrant } from '@millrace/contracts'
import type { LiveGrant } from '@millrace/contracts'
import type { Redis } from '@millrace/stores/redis'

export interface Tickets {
  /** A new ticket. Throws PIPE_REDIS_UNAVAILABLE. */
  issue(grant: LiveGrant): Promise<string>
  /** What the ticket permits, once; undefined when it is unknown, used or over. Throws PIPE_REDIS_UNAVAILABLE. */
  redeem(ticket: string): Promise<LiveGrant | undefined>
}

const prefix = 'mrt_'
const shape = /^mrt_[A-Za-z0-9_-]{43}$/

/** Tickets in the Redis of the cache role, good for `ttlMs`. One that was evicted is unknown. */
export function createTickets(redis: Pick<Redis, 'command'>, ttlMs: number): Tickets {
  return {
    async issue(grant) {
      const ticket = prefix + randomBytes(32).toString('base64url')
      await redis.command('SET', keyOf(ticket), encodeLiveGrant(grant), 'PX', ttlMs)
      return ticket
    },
    async redeem(ticket) {
      if (!shape.test(ticket)) return undefined
      const text = await redis.command('GETDEL', keyOf(ticket))
      return typeof text === 'string' ? decodeLiveGrant(text) : undefined
    }
  }
}

function keyOf(ticket: string): string {
  return `ticket:${createHash('sha256').update(ticket).digest('hex')}`
}
