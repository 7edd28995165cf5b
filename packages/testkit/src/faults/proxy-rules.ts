// What a TCP fault proxy can do to bytes on their way. `up` = from the client to the server, `down` = back. A rule
// acts on every connection while it is in force, unless `times` limits how often it acts.

export type Direction = 'up' | 'down'

/** Tells whether bytes of a request are the ones a rule waits for. */
export type RequestMatch = (chunk: Buffer) => boolean

/** What comes back instead of `reply`; undefined when it is the reply to something else. */
type ReplyChange = (reply: Buffer) => Buffer | undefined

export type ProxyRule =
  /** Delivers bytes `ms` later, spread by up to `jitterMs`; order is kept and bytes in flight overlap. */
  | { readonly kind: 'latency'; readonly direction: Direction; readonly ms: number; readonly jitterMs?: number }
  /** Delivers at most this many bytes a second on each connection. */
  | { readonly kind: 'bandwidth'; readonly direction: Direction; readonly bytesPerSecond: number }
  /** Delivers nothing until the rule is lifted, then what was held: a network that drops packets for a while. */
  | { readonly kind: 'blackhole'; readonly direction: Direction | 'both' }
  /** Resets new connections at once, as a host without the port does. */
  | { readonly kind: 'refuse'; readonly times?: number }
  /** Lets a matching request through, waits for the server's reply, eats it and resets: done, but nobody knows. */
  | { readonly kind: 'eat-reply'; readonly when?: RequestMatch; readonly times?: number }
  /** Lets a matching request through and replaces the server's reply to it: done, and the client hears something else. */
  | {
      readonly kind: 'change-reply'
      readonly when: RequestMatch
      readonly change: ReplyChange
      readonly times?: number
    }
  /** Resets a connection when `afterBytes` bytes went in `direction`; what exceeds them is not delivered. */
  | { readonly kind: 'cut'; readonly direction: Direction; readonly afterBytes: number; readonly times?: number }
  /** Replaces what follows `afterBytes` bytes of a connection by noise, up to the end of the chunk. */
  | { readonly kind: 'garbage'; readonly direction: Direction; readonly afterBytes: number; readonly times?: number }
  /** Ends the stream in `direction` after `afterBytes` bytes and leaves the other direction open. */
  | { readonly kind: 'half-close'; readonly direction: Direction; readonly afterBytes: number; readonly times?: number }

export type ProxyRuleKind = ProxyRule['kind']

/** A rule in force; disposing lifts it. */
export interface RuleHandle extends Disposable {
  /** How often this rule acted. */
  acted(): number
}

/** Matches a Kafka request by its API key (0 = Produce, 1 = Fetch); the chunk must start with the request. */
export function kafkaRequest(apiKey: number): RequestMatch {
  return (chunk) => chunk.length >= 6 && chunk.readInt16BE(4) === apiKey
}

/**
 * The produce requests with records of `topic`, and their replies changed so that they tell of another topic: what was sent is
 * stored, and the reply holds no line about it. The correlation id behind both headers says which reply is meant, so a
 * rule of its own is needed for each reply: `times: 1`.
 */
export function misnamedProduce(topic: string): { readonly when: RequestMatch; readonly change: ReplyChange } {
  const name = Buffer.from(topic)
  const isProduce = kafkaRequest(0)
  let asked: number | undefined
  return {
    when(chunk) {
      if (!isProduce(chunk) || chunk.length < 12 || !chunk.includes(name)) return false
      asked = chunk.readInt32BE(8)
      return true
    },
    change(reply) {
      const at = reply.indexOf(name)
      if (reply.length < 8 || reply.readInt32BE(4) !== asked || at < 0) return undefined
      const changed = Buffer.from(reply)
      changed[at] = (changed[at] ?? 0) ^ 1
      return changed
    }
  }
}

/** Matches an HTTP request by its method and the start of its path. */
export function httpRequest(method: string, pathPrefix: string): RequestMatch {
  return (chunk) => chunk.subarray(0, 1024).toString('latin1').startsWith(`${method} ${pathPrefix}`)
}
