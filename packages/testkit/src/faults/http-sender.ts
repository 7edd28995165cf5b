// One HTTP exchange of the load client: what came back, or how the connection failed. Never rejects.
import { Agent, request } from 'node:http'
import type { AttemptEnd } from './ledger.ts'

/** What a client learns from one attempt. */
export interface Answer {
  readonly end: AttemptEnd
  readonly status: number
  /** `status` of the body, or `code` of a problem document. */
  readonly code: string
  /** Retry-After in milliseconds, when the answer has one. */
  readonly retryAfterMs: number | undefined
}

export interface HttpSender extends Disposable {
  post(body: string | Uint8Array): Promise<Answer>
}

export interface HttpSenderOptions {
  /** Address of the events endpoint. */
  readonly url: string
  readonly writeKey: string
  readonly timeoutMs: number
  readonly maxConnections: number
}

const unanswered = { status: 0, code: '', retryAfterMs: undefined }

/** A sender over kept-alive connections. */
export function createHttpSender(options: HttpSenderOptions): HttpSender {
  const agent = new Agent({ keepAlive: true, maxSockets: options.maxConnections })
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${options.writeKey}` }
  return {
    post: (body) =>
      new Promise((resolve) => {
        const signal = AbortSignal.timeout(options.timeoutMs)
        const failed = (): void => resolve({ end: signal.aborted ? 'timeout' : 'cut', ...unanswered })
        const sending = request(
          options.url,
          { method: 'POST', agent, signal, headers: { ...headers, 'content-length': Buffer.byteLength(body) } },
          (response) => {
            const chunks: Buffer[] = []
            response.on('data', (chunk: Buffer) => chunks.push(chunk))
            response.on('error', failed)
            response.on('close', failed)
            response.on('end', () => {
              const retryAfter = Number(response.headers['retry-after'] ?? Number.NaN)
              resolve({
                end: 'answered',
                status: response.statusCode ?? 0,
                code: readCode(Buffer.concat(chunks).toString()),
                retryAfterMs: Number.isFinite(retryAfter) ? retryAfter * 1_000 : undefined
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

function readCode(text: string): string {
  try {
    const { code, status } = JSON.parse(text) as { readonly code?: unknown; readonly status?: unknown }
    return typeof code === 'string' ? code : typeof status === 'string' ? status : ''
  } catch {
    return ''
  }
}
