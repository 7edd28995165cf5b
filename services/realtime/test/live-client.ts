// A client of the live feed for tests: it collects what it is told.
import { once } from 'node:events'
import { eventually } from '@millrace/testkit/eventually'
import { WebSocket } from 'ws'

/** A message of the service. */
export interface LiveMessage {
  readonly type: string
  readonly id?: string
  readonly channel?: string
  readonly data?: readonly Readonly<Record<string, unknown>>[]
  readonly problem?: { readonly code: string; readonly pointer?: string }
  readonly [member: string]: unknown
}

export interface LiveClient extends Disposable {
  readonly socket: WebSocket
  readonly messages: readonly LiveMessage[]
  send(message: unknown): void
  /** The first message from now on, or one that came before, that `is` takes. */
  next(what: string, is: (message: LiveMessage) => boolean): Promise<LiveMessage>
  /** Code and reason of the close frame, when it came. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
}

/** Connects; rejects with the status of a refusal. */
export async function connectLive(url: string, ticket: string, origin?: string): Promise<LiveClient> {
  const address = `${url.replace('http', 'ws')}/realtime?ticket=${ticket}`
  const socket = new WebSocket(address, origin === undefined ? {} : { origin })
  const messages: LiveMessage[] = []
  socket.on('message', (data: Buffer) => messages.push(JSON.parse(data.toString()) as LiveMessage))
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
  await once(socket, 'open')
  return {
    socket,
    messages,
    closed,
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    next: async (what, is) => await eventually(what, () => messages.find(is), { intervalMs: 5 }),
    [Symbol.dispose]: () => socket.terminate()
  }
}

/** Asks for a ticket with a key. */
export async function askTicket(
  url: string,
  key: string,
  body?: unknown,
  headers: Record<string, string> = {}
): Promise<Response> {
  return await fetch(`${url}/v1/tickets`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
}

/** A ticket for a key. */
export async function ticketFor(url: string, key: string, body?: unknown): Promise<string> {
  const response = await askTicket(url, key, body)
  if (response.status !== 201) throw new Error(`no ticket: ${response.status} ${await response.text()}`)
  return ((await response.json()) as { ticket: string }).ticket
}
