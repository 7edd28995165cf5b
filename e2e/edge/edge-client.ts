// Requests over TLS to an edge whose certificate nobody signed: fetch of Node takes no certificate of a test's own.
import { Agent, request } from 'node:https'
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import type { Edge } from './nginx.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export interface EdgeRequest {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
}

export interface EdgeClient extends Disposable {
  /** Rejects when the connection breaks off. */
  send(path: string, request?: EdgeRequest): Promise<Answer>
  /** Asks for a WebSocket: the status, and the text of the first message when it is 101. */
  upgrade(path: string): Promise<{ readonly status: number; readonly message: string }>
}

/** A client that keeps its connections. */
export function createEdgeClient({ port, ca }: Edge): EdgeClient {
  const agent = new Agent({ keepAlive: true, ca, host: 'localhost', port })
  const target = { agent, host: 'localhost', port }
  return {
    send: (path, { method = 'GET', headers = {}, body } = {}) =>
      new Promise((resolve, reject) => {
        const sent = request({ ...target, path, method, headers }, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text: Buffer.concat(chunks).toString()
            })
          )
        })
        sent.on('error', reject)
        sent.end(body)
      }),
    upgrade: (path) =>
      new Promise((resolve, reject) => {
        const key = Buffer.alloc(16, 1).toString('base64')
        const headers = {
          connection: 'Upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': key
        }
        const sent = request({ ...target, agent: false, ca, path, headers }, (response) => {
          response.resume()
          resolve({ status: response.statusCode ?? 0, message: '' })
        })
        sent.on('error', reject)
        sent.on('upgrade', (_response, socket, head) => {
          const take = (frame: Buffer): void => {
            // A text frame of a server: two bytes, or four when it is longer than 125 (RFC 6455, 5.2).
            const start = frame[1] === 126 ? 4 : 2
            socket.destroy()
            resolve({ status: 101, message: frame.toString('utf8', start) })
          }
          if (head.length > 0) take(head)
          else socket.once('data', take)
        })
        sent.end()
      }),
    [Symbol.dispose]: () => agent.destroy()
  }
}
