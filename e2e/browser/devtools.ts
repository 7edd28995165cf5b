// The DevTools protocol of a browser: commands with their answers over one WebSocket; events are not listened to.
import { once } from 'node:events'

export interface Devtools {
  /** Sends a command, to the tab of `sessionId` or to the browser; rejects with what the browser refuses it for. */
  send<T>(method: string, params?: Readonly<Record<string, unknown>>, sessionId?: string): Promise<T>
}

interface Answer {
  readonly id?: number
  readonly result?: unknown
  readonly error?: { readonly message: string }
}

/** Connects to the address that a browser printed. It ends with the browser. */
export async function openDevtools(address: string): Promise<Devtools> {
  const socket = new WebSocket(address)
  await once(socket, 'open')
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  let sent = 0
  socket.addEventListener('message', ({ data }) => {
    // The protocol speaks JSON text only.
    const { id, result, error } = JSON.parse(String(data)) as Answer
    if (id === undefined) return
    const call = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) call?.resolve(result)
    else call?.reject(new Error(error.message))
  })
  socket.addEventListener('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the browser ended'))
    waiting.clear()
  })
  return {
    send: <T>(method: string, params: Readonly<Record<string, unknown>> = {}, sessionId?: string) => {
      const id = ++sent
      const { promise, resolve, reject } = Promise.withResolvers<unknown>()
      waiting.set(id, { resolve, reject })
      socket.send(JSON.stringify({ id, method, params, sessionId }))
      return promise as Promise<T>
    }
  }
}
