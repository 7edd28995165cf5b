// The open WebSockets of this instance: made from admitted requests, pinged, bounded per project, and closed in order.
//
// | close code | meaning                                                          |
// | 1003       | a binary message; the protocol is JSON text                      |
// | 1007, 1009 | a message that is not UTF-8, or too large (the ws library)       |
// | 1008       | too many messages, or the key of the ticket has ended            |
// | 1011       | a failure of this service                                        |
// | 1012       | the service stops, or the connection is old: come back later     |
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { LiveGrant } from '@millrace/contracts'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { WebSocket, WebSocketServer } from 'ws'
import type { RawData } from 'ws'
import { createConnection } from './connection.ts'
import type { Connection, ConnectionDeps } from './connection.ts'
import type { realtimeMetrics } from './metrics.ts'
import { createPeer } from './peer.ts'
import { admit, refuseUpgrade } from './upgrade.ts'
import type { AdmitDeps, Refusal } from './upgrade.ts'

export interface SocketSettings {
  readonly pingMs: number
  readonly maxAgeMs: number
  readonly maxConnections: number
  readonly connectionsPerProject: number
  readonly maxMessageBytes: number
  readonly maxBufferedBytes: number
}

export interface SocketDeps extends Omit<AdmitDeps, 'full'> {
  readonly connection: ConnectionDeps
  readonly settings: SocketSettings
  readonly clock: Clock
  readonly metrics: BoundMetrics<typeof realtimeMetrics>
  readonly log: Logger
  /** Aborts when the service stops. */
  readonly signal: AbortSignal
  /** [0, 1), for the spread of reconnections. */
  readonly random: () => number
}

interface Open {
  readonly webSocket: WebSocket
  readonly projectId: string
  readonly keyId: string | undefined
  readonly openedAtMs: number
  alive: boolean
  /** What ends it. */
  reason: 'closed' | 'silent' | 'unread' | 'key'
}

/** The connections that are open, by the keys that asked for their tickets. */
export interface OpenSockets {
  keyIds(): ReadonlySet<string>
  /** Closes the connections of these keys. */
  endKeys(keyIds: ReadonlySet<string>): void
}

/** Serves the WebSockets of `server` until the signal aborts. */
export function serveSockets(server: Server, deps: SocketDeps): OpenSockets {
  const { settings, clock, metrics, log, signal } = deps
  const open = new Set<Open>()
  const perProject = new Map<string, number>()
  // The types of the library lag behind: `closeTimeout` bounds the wait for the answer to a close frame.
  const options = { noServer: true, perMessageDeflate: false, clientTracking: false, closeTimeout: 2_000 }
  const sockets = new WebSocketServer({ ...options, maxPayload: settings.maxMessageBytes })

  const full = (projectId: string): Refusal | undefined => {
    if (signal.aborted) return { code: 'unavailable', detail: 'this instance stops' }
    if (open.size >= settings.maxConnections) return { code: 'unavailable', detail: 'this instance has no room' }
    if ((perProject.get(projectId) ?? 0) < settings.connectionsPerProject) return undefined
    return { code: 'rate_limited', detail: 'the project has as many connections as it may have' }
  }
  const count = (projectId: string, by: 1 | -1): void => {
    const now = (perProject.get(projectId) ?? 0) + by
    if (now > 0) perProject.set(projectId, now)
    else perProject.delete(projectId)
  }

  const accept = (webSocket: WebSocket, socket: Duplex, grant: LiveGrant): void => {
    const { projectId, keyId } = grant
    const entry: Open = { webSocket, projectId, keyId, openedAtMs: clock.monotonic(), alive: true, reason: 'closed' }
    open.add(entry)
    count(projectId, 1)
    metrics.connections.set(open.size)
    const peer = createPeer({
      socket,
      isOpen: () => webSocket.readyState === WebSocket.OPEN,
      maxBufferedBytes: settings.maxBufferedBytes,
      terminate: () => end(entry, 'unread')
    })
    const connection = createConnection(peer, grant, deps.connection)
    listen(webSocket, connection, entry, deps)
    webSocket.once('close', () => {
      open.delete(entry)
      count(projectId, -1)
      metrics.connections.set(open.size)
      metrics.closed.add(1, { reason: entry.reason })
      connection.close()
    })
    connection.open()
  }

  const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const ignore = (): void => void socket.destroy()
    socket.on('error', ignore)
    const admitted = await admit(request, { ...deps, full })
    metrics.upgrades.add(1, { outcome: 'grant' in admitted ? 'admitted' : admitted.code })
    if (!('grant' in admitted)) return refuseUpgrade(socket, admitted)
    socket.off('error', ignore)
    if (socket.destroyed) return
    sockets.handleUpgrade(request, socket, head, (webSocket) => accept(webSocket, socket, admitted.grant))
  }
  const end = (entry: Open, reason: Open['reason']): void => {
    entry.reason = reason
    entry.webSocket.terminate()
  }
  const beat = (): void => {
    const nowMs = clock.monotonic()
    for (const entry of open) {
      const { webSocket } = entry
      if (!entry.alive) end(entry, 'silent')
      else if (nowMs - entry.openedAtMs > settings.maxAgeMs) part(webSocket, deps.random)
      else {
        entry.alive = false
        webSocket.ping()
      }
    }
    if (!signal.aborted) clock.timer(settings.pingMs, beat)
  }

  server.on('upgrade', (request, socket, head) => {
    upgrade(request, socket, head).catch((error: unknown) => {
      log.error({ err: error }, 'a connection could not be made')
      refuseUpgrade(socket, { code: 'internal', detail: 'the service failed' })
    })
  })
  clock.timer(settings.pingMs, beat)
  signal.addEventListener('abort', () => {
    for (const { webSocket } of open) part(webSocket, deps.random)
    // Who does not answer the close frame is cut off.
    clock.timer(partingMs, () => {
      for (const { webSocket } of open) webSocket.terminate()
    })
  })
  return {
    keyIds: () => new Set([...open].flatMap(({ keyId }) => keyId ?? [])),
    endKeys(keyIds) {
      for (const entry of open) {
        if (entry.keyId === undefined || !keyIds.has(entry.keyId)) continue
        entry.reason = 'key'
        entry.webSocket.close(1008, 'the key has ended')
      }
    }
  }
}

const partingMs = 1_500
/** Clients come back spread over this time. */
const reconnectSpreadMs = 10_000

/** Asks a client to come back: 1012 with the time to wait, which differs between clients. */
function part(webSocket: WebSocket, random: () => number): void {
  webSocket.close(1012, JSON.stringify({ reconnectAfterMs: Math.round(random() * reconnectSpreadMs) }))
}

function listen(webSocket: WebSocket, connection: Connection, entry: Open, { log }: SocketDeps): void {
  const tooMuch = (): void => webSocket.close(1008, 'too many messages')
  webSocket.on('message', (data: RawData, isBinary: boolean) => {
    if (webSocket.readyState !== WebSocket.OPEN) return
    if (isBinary) return webSocket.close(1003, 'send JSON text')
    try {
      // A text message is one Buffer (`binaryType` is nodebuffer).
      if (!connection.receive((data as Buffer).toString('utf8'))) tooMuch()
    } catch (error) {
      log.error({ err: error }, 'a message could not be handled')
      webSocket.close(1011, 'the service failed')
    }
  })
  webSocket.on('pong', () => {
    entry.alive = true
  })
  webSocket.on('ping', () => {
    if (!connection.count()) tooMuch()
  })
  // The library closes after a broken frame and tells here what it was; the client's mistake is no news of ours.
  webSocket.on('error', (error) => log.debug({ err: error }, 'a client broke the protocol'))
}
