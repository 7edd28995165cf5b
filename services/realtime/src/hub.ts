// The hub: a change is encoded once per channel and tick, whoever watches. The first change after a pause leaves at once,
// the next ones together at the end of a tick.
//
// | a peer on a channel is | entered when                                      | left when                              |
// | waiting                | subscribed; it caught up after being behind       | a snapshot was sent: watching          |
// | watching               | it has a snapshot                                 | it is behind: away; unsubscribed       |
// | away                   | more waits for it than is permitted               | its socket drained: waiting            |
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { Feed, FeedRequest } from './feed.ts'
import { textFrame } from './frame.ts'
import type { realtimeMetrics } from './metrics.ts'
import type { Peer } from './peer.ts'

export interface HubOptions {
  readonly clock: Clock
  /** Shortest time between two rounds. */
  readonly tickMs: number
  readonly metrics: BoundMetrics<typeof realtimeMetrics>
}

export interface Hub extends Disposable {
  /** Adds `peer` to the channel of `request` and returns its id on the wire; the snapshot follows. */
  subscribe(peer: Peer, request: FeedRequest): string
  unsubscribe(peer: Peer, key: string): void
  /** Takes `peer` off every channel. */
  leave(peer: Peer): void
  /** Whether a channel of that key is open. */
  has(key: string): boolean
  /** Channels of a project; a bound of the work that one project makes. */
  channelsOf(prefix: string): number
  /** Marks every channel: the log is away, or back. */
  markAll(isStale: boolean): void
}

interface Channel {
  readonly id: string
  readonly key: string
  readonly feed: Feed
  readonly waiting: Set<Peer>
  readonly watching: Set<Peer>
  stale: boolean
  /** What was last told of it. */
  toldStale: boolean
  replaced: boolean
}

/** A hub without channels. Disposing it closes every feed. */
export function createHub({ clock, tickMs, metrics }: HubOptions): Hub {
  const channels = new Map<string, Channel>()
  const perPrefix = new Map<string, number>()
  const channelsOfPeer = new Map<Peer, Set<Channel>>()
  const dirty = new Set<Channel>()
  let timer: Disposable | undefined
  let lastTickMs = Number.NEGATIVE_INFINITY
  let made = 0
  let everythingStale = false

  const mark = (channel: Channel): void => {
    dirty.add(channel)
    if (timer !== undefined) return
    const dueAtMs = lastTickMs + tickMs
    timer = clock.timer(Math.max(0, dueAtMs - clock.monotonic()), () => tick(dueAtMs))
  }

  const tick = (dueAtMs: number): void => {
    const startedAtMs = clock.monotonic()
    timer = undefined
    lastTickMs = startedAtMs
    if (Number.isFinite(dueAtMs)) metrics.tickLag.observe(Math.max(0, startedAtMs - dueAtMs) / 1_000)
    const round = [...dirty]
    dirty.clear()
    const touched: Peer[] = []
    for (const channel of round) queueChannel(channel, touched)
    for (const peer of touched) if (!peer.flush()) putAway(peer)
    metrics.tickSeconds.observe((clock.monotonic() - startedAtMs) / 1_000)
  }

  const queueTo = (
    peers: Iterable<Peer>,
    frame: Buffer,
    kind: 'snapshot' | 'delta' | 'stale',
    touched: Peer[]
  ): void => {
    let count = 0
    for (const peer of peers) {
      count++
      if (peer.queue(frame)) touched.push(peer)
    }
    metrics.frames.add(count, { kind })
    metrics.bytes.add(count * frame.byteLength)
  }

  const queueChannel = (channel: Channel, touched: Peer[]): void => {
    if (!channels.has(channel.key)) return
    const stale = everythingStale || channel.stale
    const { id, feed, waiting, watching } = channel
    if (channel.replaced) {
      channel.replaced = false
      for (const peer of watching) waiting.add(peer)
      watching.clear()
    }
    const changes = feed.takeChanges()
    if (changes !== undefined && watching.size > 0) {
      queueTo(watching, textFrame(`{"type":"delta","channel":"${id}",${changes}}`), 'delta', touched)
    }
    if (stale !== channel.toldStale) {
      channel.toldStale = stale
      queueTo(watching, textFrame(`{"type":"stale","channel":"${id}","stale":${stale}}`), 'stale', touched)
    }
    if (waiting.size === 0) return
    const data = feed.snapshot()
    if (data === undefined) return
    const text = `{"type":"snapshot","channel":"${id}","stale":${stale},"data":${data}}`
    queueTo(waiting, textFrame(text), 'snapshot', touched)
    for (const peer of waiting) watching.add(peer)
    waiting.clear()
  }

  /** The peer gets nothing until it has read what waits, and a snapshot of everything then. */
  const putAway = (peer: Peer): void => {
    const own = channelsOfPeer.get(peer)
    if (own === undefined) return
    metrics.behind.add(1)
    for (const channel of own) {
      channel.watching.delete(peer)
      channel.waiting.delete(peer)
    }
    peer.onDrained(() => {
      metrics.resynced.add(1)
      for (const channel of channelsOfPeer.get(peer) ?? []) {
        channel.waiting.add(peer)
        mark(channel)
      }
    })
  }

  const open = (request: FeedRequest): Channel => {
    // The feed may report before `open` returns; it has no channel to report about then, and nobody to tell.
    const opened: { channel?: Channel } = {}
    const about = (change: (channel: Channel) => void): void => {
      if (opened.channel === undefined) return
      change(opened.channel)
      mark(opened.channel)
    }
    const feed = request.open({
      changed: () => about(() => undefined),
      replaced: () =>
        about((channel) => {
          channel.replaced = true
        }),
      stale: (isStale) =>
        about((channel) => {
          channel.stale = isStale
        })
    })
    const { key } = request
    const channel: Channel = {
      id: `c${++made}`,
      key,
      feed,
      waiting: new Set(),
      watching: new Set(),
      stale: false,
      toldStale: false,
      replaced: false
    }
    opened.channel = channel
    channels.set(key, channel)
    count(prefixOf(key), 1)
    return channel
  }

  const count = (prefix: string, by: 1 | -1): void => {
    const now = (perPrefix.get(prefix) ?? 0) + by
    if (now > 0) perPrefix.set(prefix, now)
    else perPrefix.delete(prefix)
    metrics.channels.set(channels.size)
  }

  const remove = (peer: Peer, channel: Channel): void => {
    channel.waiting.delete(peer)
    channel.watching.delete(peer)
    const own = channelsOfPeer.get(peer)
    own?.delete(channel)
    if (own?.size === 0) channelsOfPeer.delete(peer)
    members.set(channel, (members.get(channel) ?? 1) - 1)
    if ((members.get(channel) ?? 0) > 0) return
    members.delete(channel)
    channels.delete(channel.key)
    dirty.delete(channel)
    count(prefixOf(channel.key), -1)
    channel.feed[Symbol.dispose]()
  }
  /** Peers of a channel in any state. */
  const members = new Map<Channel, number>()

  return {
    subscribe(peer, request) {
      const channel = channels.get(request.key) ?? open(request)
      const own = channelsOfPeer.get(peer) ?? new Set()
      if (own.has(channel)) return channel.id
      channelsOfPeer.set(peer, own.add(channel))
      members.set(channel, (members.get(channel) ?? 0) + 1)
      channel.waiting.add(peer)
      mark(channel)
      return channel.id
    },
    unsubscribe(peer, key) {
      const channel = channels.get(key)
      if (channel !== undefined && channelsOfPeer.get(peer)?.has(channel) === true) remove(peer, channel)
    },
    leave(peer) {
      for (const channel of channelsOfPeer.get(peer) ?? []) remove(peer, channel)
    },
    has: (key) => channels.has(key),
    channelsOf: (prefix) => perPrefix.get(prefix) ?? 0,
    markAll(isStale) {
      everythingStale = isStale
      for (const channel of channels.values()) mark(channel)
    },
    [Symbol.dispose]() {
      timer?.[Symbol.dispose]()
      for (const { feed } of channels.values()) feed[Symbol.dispose]()
      channels.clear()
    }
  }
}

/** Keys begin with the project. */
function prefixOf(key: string): string {
  return key.slice(0, key.indexOf('/'))
}
