// The hub: which channels are open and who is on them, and the rounds in which they are told. The first change after a
// pause leaves at once, the next ones together at the end of a tick.
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import { createChannel } from './channel.ts'
import type { Channel } from './channel.ts'
import type { FeedRequest } from './feed.ts'
import type { realtimeMetrics } from './metrics.ts'
import type { Peer } from './peer.ts'

export interface HubOptions {
  readonly clock: Clock
  /** Shortest time between two rounds. */
  readonly tickMs: number
  readonly metrics: BoundMetrics<typeof realtimeMetrics>
}

export interface Hub extends Disposable {
  /**
   * Adds `peer` to the channel of `request` and returns its id on the wire; the snapshot follows. Throws what opening a
   * feed throws.
   */
  subscribe(peer: Peer, request: FeedRequest): string
  unsubscribe(peer: Peer, key: string): void
  /** Takes `peer` off every channel. */
  leave(peer: Peer): void
  /** Whether a channel of that key is open. */
  has(key: string): boolean
  /** Open channels of a project: the work that it makes. */
  channelsOf(project: string): number
  /** Marks every channel: the log is away, or back. */
  markAll(isStale: boolean): void
}

/** A hub without channels. Disposing it closes every feed. */
export function createHub({ clock, tickMs, metrics }: HubOptions): Hub {
  const channels = new Map<string, Channel>()
  const channelsOfPeer = new Map<Peer, Set<Channel>>()
  const dirty = new Set<Channel>()
  const away = new WeakSet<Peer>()
  let timer: Disposable | undefined
  let lastRoundMs = Number.NEGATIVE_INFINITY
  let made = 0
  let everythingStale = false

  const mark = (channel: Channel): void => {
    dirty.add(channel)
    if (timer !== undefined) return
    const nowMs = clock.monotonic()
    const dueAtMs = Math.max(nowMs, lastRoundMs + tickMs)
    timer = clock.timer(dueAtMs - nowMs, () => runRound(dueAtMs))
  }
  const runRound = (dueAtMs: number): void => {
    timer = undefined
    lastRoundMs = clock.monotonic()
    const round = [...dirty]
    dirty.clear()
    const touched: Peer[] = []
    for (const channel of round) {
      if (channels.get(channel.key) === channel) channel.queueRound(everythingStale, touched)
    }
    for (const peer of touched) if (!peer.flush()) putAway(peer)
    metrics.tickLag.observe(Math.max(0, lastRoundMs - dueAtMs) / 1_000)
    metrics.tickSeconds.observe((clock.monotonic() - lastRoundMs) / 1_000)
  }
  /** The peer gets nothing until it has read what waits, and then a snapshot of everything. */
  const putAway = (peer: Peer): void => {
    for (const channel of channelsOfPeer.get(peer) ?? []) channel.putAway(peer)
    // One that is away already has subscribed to something else meanwhile.
    if (away.has(peer)) return
    away.add(peer)
    metrics.behind.add(1)
    peer.onDrained(() => {
      away.delete(peer)
      metrics.resynced.add(1)
      for (const channel of channelsOfPeer.get(peer) ?? []) channel.add(peer)
    })
  }
  const open = ({ key, open: openFeed }: FeedRequest): Channel => {
    const channel = createChannel({ id: `c${++made}`, key, open: openFeed, onChange: mark, metrics })
    channels.set(key, channel)
    metrics.channels.set(channels.size)
    return channel
  }
  const remove = (peer: Peer, channel: Channel): void => {
    channel.remove(peer)
    channelsOfPeer.get(peer)?.delete(channel)
    if (channel.members.size > 0) return
    channels.delete(channel.key)
    metrics.channels.set(channels.size)
    channel[Symbol.dispose]()
  }

  return {
    subscribe(peer, request) {
      const channel = channels.get(request.key) ?? open(request)
      const own = channelsOfPeer.get(peer) ?? new Set()
      channelsOfPeer.set(peer, own)
      if (!own.has(channel)) channel.add(peer)
      own.add(channel)
      return channel.id
    },
    unsubscribe(peer, key) {
      const channel = channels.get(key)
      if (channel?.members.has(peer) === true) remove(peer, channel)
    },
    leave(peer) {
      for (const channel of channelsOfPeer.get(peer) ?? []) remove(peer, channel)
      channelsOfPeer.delete(peer)
    },
    has: (key) => channels.has(key),
    channelsOf(project) {
      const prefix = `${project}/`
      return [...channels.keys()].filter((key) => key.startsWith(prefix)).length
    },
    markAll(isStale) {
      everythingStale = isStale
      for (const channel of channels.values()) mark(channel)
    },
    [Symbol.dispose]() {
      timer?.[Symbol.dispose]()
      for (const channel of channels.values()) channel[Symbol.dispose]()
      channels.clear()
    }
  }
}
