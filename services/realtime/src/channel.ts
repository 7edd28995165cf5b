// One subscription as many clients share it: what changed is encoded once, and each client gets a snapshot first.
//
// | a peer is | entered when                                        | left when                              |
// | waiting   | it subscribed; it caught up after being behind      | a snapshot was sent: watching          |
// | watching  | it has a snapshot                                   | it is behind: away; all is replaced: waiting |
// | away      | more waits for it than is permitted                 | its socket drained: waiting            |
import type { BoundMetrics } from '@millrace/observability'
import type { Feed, FeedEvents } from './feed.ts'
import { textFrame } from './frame.ts'
import type { realtimeMetrics } from './metrics.ts'
import type { Peer } from './peer.ts'

export interface Channel extends Disposable {
  /** Its name on the wire. */
  readonly id: string
  readonly key: string
  /** Peers in any state. */
  readonly members: ReadonlySet<Peer>
  /** Adds a peer, or takes it back: a snapshot follows with the next round. */
  add(peer: Peer): void
  remove(peer: Peer): void
  /** The peer stays a member and gets nothing until `add`. */
  putAway(peer: Peer): void
  /** Queues what is to be told; `touched` gets the peers that have something to flush. */
  queueRound(everythingStale: boolean, touched: Peer[]): void
}

export interface ChannelOptions {
  readonly id: string
  readonly key: string
  readonly open: (events: FeedEvents) => Feed
  /** There is something to tell. */
  readonly onChange: (channel: Channel) => void
  readonly metrics: BoundMetrics<typeof realtimeMetrics>
}

/** Opens the feed of a channel. Throws what opening it throws. */
export function createChannel({ id, key, open, onChange, metrics }: ChannelOptions): Channel {
  const members = new Set<Peer>()
  const waiting = new Set<Peer>()
  const watching = new Set<Peer>()
  let stale = false
  let toldStale = false

  const queueTo = (
    peers: ReadonlySet<Peer>,
    kind: 'snapshot' | 'delta' | 'stale',
    text: string,
    touched: Peer[]
  ): void => {
    if (peers.size === 0) return
    const frame = textFrame(text)
    for (const peer of peers) if (peer.queue(frame)) touched.push(peer)
    metrics.frames.add(peers.size, { kind })
    metrics.bytes.add(peers.size * frame.byteLength)
  }
  const channel: Channel = {
    id,
    key,
    members,
    add(peer) {
      members.add(peer)
      watching.delete(peer)
      waiting.add(peer)
      onChange(channel)
    },
    remove(peer) {
      for (const set of [members, waiting, watching]) set.delete(peer)
    },
    putAway(peer) {
      waiting.delete(peer)
      watching.delete(peer)
    },
    queueRound(everythingStale, touched) {
      const isStale = everythingStale || stale
      // Taken even when nobody watches: who waits gets it with the snapshot.
      const changes = feed.takeChanges()
      if (changes !== undefined) queueTo(watching, 'delta', `{"type":"delta","channel":"${id}",${changes}}`, touched)
      if (isStale !== toldStale) {
        toldStale = isStale
        queueTo(watching, 'stale', `{"type":"stale","channel":"${id}","stale":${isStale}}`, touched)
      }
      const data = waiting.size === 0 ? undefined : feed.snapshot()
      if (data === undefined) return
      const snapshot = `{"type":"snapshot","channel":"${id}","stale":${isStale},"data":${data}}`
      queueTo(waiting, 'snapshot', snapshot, touched)
      for (const peer of waiting) watching.add(peer)
      waiting.clear()
    },
    [Symbol.dispose]: () => feed[Symbol.dispose]()
  }
  const feed = open({
    changed: () => onChange(channel),
    replaced() {
      for (const peer of watching) waiting.add(peer)
      watching.clear()
      onChange(channel)
    },
    stale(isStale) {
      stale = isStale
      onChange(channel)
    }
  })
  return channel
}
