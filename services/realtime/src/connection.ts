// One client: what it says and what it is answered. Whatever it sends, the process goes on.
import type { LiveGrant, LiveRequest, LiveSubscription, Problem } from '@millrace/contracts'
import { parseLiveRequest, toProblem } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { FeedRequest } from './feed.ts'
import { textFrame } from './frame.ts'
import type { Hub } from './hub.ts'
import type { realtimeMetrics } from './metrics.ts'
import type { Peer } from './peer.ts'

export interface ConnectionLimits {
  readonly subscriptions: number
  readonly channelsPerProject: number
  readonly messagesPer10s: number
}

export interface ConnectionDeps {
  readonly hub: Hub
  /** Whether the project has a metric of that name; also true when that cannot be known now. */
  readonly isKnown: (project: string, metric: string) => boolean
  readonly toFeedRequest: (grant: LiveGrant, subscription: LiveSubscription) => FeedRequest
  readonly limits: ConnectionLimits
  readonly clock: Clock
  readonly metrics: BoundMetrics<typeof realtimeMetrics>
}

export interface Connection {
  /** Says hello. */
  open(): void
  /** Takes a message of the client. False when it says too much and is to be closed. */
  receive(text: string): boolean
  /** Counts what costs something without being a message: a ping. As `receive`. */
  count(): boolean
  /** The connection is over. */
  close(): void
}

const rateWindowMs = 10_000

/** The client behind `peer`, who came with `grant`. */
export function createConnection(peer: Peer, grant: LiveGrant, deps: ConnectionDeps): Connection {
  const { hub, limits, clock, metrics } = deps
  /** Keys of channels by the client's own ids. */
  const subscriptions = new Map<string, string>()
  let windowEndMs = 0
  let inWindow = 0

  const say = (message: object): void => peer.answer(textFrame(JSON.stringify(message)))
  const refuse = (id: string | undefined, problem: Problem): void => {
    metrics.refused.add(1, { code: problem.code })
    say({ type: 'error', id, problem })
  }
  const count = (): boolean => {
    const nowMs = clock.monotonic()
    if (nowMs >= windowEndMs) {
      windowEndMs = nowMs + rateWindowMs
      inWindow = 0
    }
    return ++inWindow <= limits.messagesPer10s
  }

  const subscribe = (id: string, subscription: LiveSubscription): void => {
    const problem = problemOf(id, subscription)
    if (problem !== undefined) return refuse(id, problem)
    const request = deps.toFeedRequest(grant, subscription)
    if (!hub.has(request.key) && hub.channelsOf(grant.projectId) >= limits.channelsPerProject) {
      return refuse(id, toProblem('rate_limited', { detail: 'the project watches too many different things already' }))
    }
    try {
      const channel = hub.subscribe(peer, request)
      subscriptions.set(id, request.key)
      say({ type: 'subscribed', id, channel })
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'PIPE_CONFLICT') throw error
      refuse(id, toProblem('unavailable', { detail: 'this instance watches too many topics already' }))
    }
  }
  const problemOf = (id: string, subscription: LiveSubscription): Problem | undefined => {
    const { to } = subscription
    if (subscriptions.has(id)) return toProblem('conflict', { pointer: '/id', detail: 'a subscription has this id' })
    if (!grant.allow.includes(to)) {
      return toProblem('forbidden', { pointer: '/to', detail: 'the ticket does not allow it' })
    }
    if (to === 'metrics' && !deps.isKnown(grant.projectId, subscription.metric)) {
      return toProblem('not_found', { pointer: '/metric', detail: 'the project has no such metric' })
    }
    if (subscriptions.size < limits.subscriptions) return undefined
    return toProblem('rate_limited', { detail: `a connection has at most ${limits.subscriptions} subscriptions` })
  }
  const unsubscribe = (id: string): void => {
    const key = subscriptions.get(id)
    if (key === undefined)
      return refuse(id, toProblem('not_found', { pointer: '/id', detail: 'no subscription has this id' }))
    subscriptions.delete(id)
    // Two subscriptions of one client may be the same channel.
    if (![...subscriptions.values()].includes(key)) hub.unsubscribe(peer, key)
    say({ type: 'unsubscribed', id })
  }
  const handle = (request: LiveRequest): void => {
    switch (request.type) {
      case 'subscribe':
        return subscribe(request.id, request.subscription)
      case 'unsubscribe':
        return unsubscribe(request.id)
      case 'ping':
        return say({ type: 'pong' })
    }
  }

  return {
    open: () => say({ type: 'welcome', project: grant.projectId, allow: grant.allow, limits }),
    count,
    receive(text) {
      if (!count()) return false
      const parsed = parseLiveRequest(text)
      if (parsed.ok) handle(parsed.request)
      else refuse(parsed.id, parsed.problem)
      return true
    },
    close: () => hub.leave(peer)
  }
}
