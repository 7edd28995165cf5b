// One client as the hub sees it: frames go in, and a client that reads too slowly is left out until it has caught up.
// What waits for a client is bounded: `maxBufferedBytes` and the frames of one round.
//
// | state  | entered when                                          | left when                              |
// | ready  | at first; the socket has sent all that waited         | more waits than is permitted: behind   |
// | behind | a round begins and more waits than is permitted       | the socket drained: ready; closed: over |
// | over   | the connection is not open any more                   | never                                  |

/** The TCP socket under a WebSocket; nothing but whole frames is written to it. */
export interface PeerSocket {
  readonly writableLength: number
  write(frame: Buffer): unknown
  cork(): void
  uncork(): void
  once(event: 'drain', listener: () => void): unknown
}

export interface PeerOptions {
  readonly socket: PeerSocket
  /** Whether the WebSocket is open: after its close frame nothing may follow. */
  readonly isOpen: () => boolean
  readonly maxBufferedBytes: number
  /** Ends the connection without a word. */
  readonly terminate: () => void
}

export interface Peer {
  /** Adds a frame to this round. True when it is the first one, and `flush` is to be called. */
  queue(frame: Buffer): boolean
  /** Writes the frames of the round. False when the client is behind and they are dropped. */
  flush(): boolean
  /** Writes an answer to the client itself, at once. A client that asks and does not read is ended. */
  answer(frame: Buffer): void
  /** `task` runs when all that waits is written. */
  onDrained(task: () => void): void
}

/** A Peer over an open connection. */
export function createPeer({ socket, isOpen, maxBufferedBytes, terminate }: PeerOptions): Peer {
  // Most rounds have one frame for a client; a list is made for the others alone.
  let first: Buffer | undefined
  let others: Buffer[] = []
  return {
    queue(frame) {
      if (first !== undefined) {
        others.push(frame)
        return false
      }
      first = frame
      return true
    },
    flush() {
      const frame = first
      first = undefined
      const more = others
      if (more.length > 0) others = []
      if (frame === undefined || !isOpen()) return true
      if (socket.writableLength > maxBufferedBytes) return false
      if (more.length === 0) {
        socket.write(frame)
        return true
      }
      // Corked frames leave in one system call.
      socket.cork()
      socket.write(frame)
      for (const each of more) socket.write(each)
      socket.uncork()
      return true
    },
    answer(frame) {
      if (!isOpen()) return
      if (socket.writableLength > 2 * maxBufferedBytes) terminate()
      else socket.write(frame)
    },
    onDrained: (task) => void socket.once('drain', task)
  }
}
