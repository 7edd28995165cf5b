// One HTTP exchange of the load client: what came back, or how the connection failed. Never rejects.
import { Agent, request } from 'node:http'
import type { AttemptEnd } from './ledger.ts'

/** What a client learns from one attempt. */
export interface Answer {
  readonly end: AttemptEnd
  readonly status: number
  /** `status` of the body, or `code` of a problem document; without an answer the error of the connection. */
  readonly code: string
  /** Retry-After in milliseconds, when the answer has one. */
  readonly retryAfterMs: number | undefined
  /** What became of each event of a batch, when the answer says it. */
  readonly items?: readonly ItemAnswer[] | undefined
}

export interface ItemAnswer {
  readonly status: string
  readonly code: string
}

/** `events`: one event a request; `batch`: many. */
export type SendTo = 'events' | 'batch'

export interface HttpSender extends Disposable {
  /** Sends a body, to the endpoint for one event when `to` is not given. */
  post(body: string | Uint8Array, to?: SendTo): Promise<Answer>
}

export interface HttpSenderOptions {
  /** Address of the events endpoint. */
  readonly url: string
  readonly writeKey: string
  readonly timeoutMs: number
  readonly maxConnections: number
}

const unanswered = { status: 0, retryAfterMs: undefined }

/** A sender over kept-alive connections. */
export function createHttpSender(options: HttpSenderOptions): HttpSender {
  const agent = new Agent({ keepAlive: true, maxSockets: options.maxConnections })
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${options.writeKey}` }
  return {
    post: (body, to = 'events') =>
      new Promise((resolve) => {
        const signal = AbortSignal.timeout(options.timeoutMs)
        const failed = (error?: NodeJS.ErrnoException): void => {
          const where = sending.reusedSocket ? '' : ' at first use'
          const code = error?.code === 'ECONNRESET' ? `ECONNRESET${where}` : (error?.code ?? '')
          resolve({ end: signal.aborted ? 'timeout' : 'cut', code, ...unanswered })
        }
        const sending = request(
          to === 'batch' ? `${options.url}/batch` : options.url,
          { method: 'POST', agent, signal, headers: { ...headers, 'content-length': Buffer.byteLength(body) } },
          (response) => {
            const chunks: Buffer[] = []
            response.on('data', (chunk: Buffer) => chunks.push(chunk))
            response.on('error', failed)
            response.on('close', () => failed())
            response.on('end', () => {
              const retryAfter = Number(response.headers['retry-after'] ?? Number.NaN)
              const { code, items } = readBody(Buffer.concat(chunks).toString())
              resolve({
                end: 'answered',
                status: response.statusCode ?? 0,
                code,
                retryAfterMs: Number.isFinite(retryAfter) ? retryAfter * 1_000 : undefined,
                items
              })
            })
          }
        )
        sending.on('error', failed)
        sending.end(body)
      }),
    [Symbol.dispose]: () => agent.destroy()
  }
}

function readBody(text: string): Pick<Answer, 'code' | 'items'> {
  try {
    const { code, status, items } = JSON.parse(text) as Record<'code' | 'status' | 'items', unknown>
    return {
      code: typeof code === 'string' ? code : typeof status === 'string' ? status : '',
      items: Array.isArray(items) ? items.map(readItem) : undefined
    }
  } catch {
    return { code: '' }
  }
}

function readItem(item: unknown): ItemAnswer {
  const { status, code } = (item ?? {}) as { readonly status?: unknown; readonly code?: unknown }
  return { status: String(status), code: typeof code === 'string' ? code : '' }
}
