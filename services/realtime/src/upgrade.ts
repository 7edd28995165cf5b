// From a request to a connection: ticket, origin, limits, and then the handshake. A refusal is a plain HTTP reply with a
// problem document; the ticket is used up by then.
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { isOriginAllowed, problemContentType, toProblem } from '@millrace/contracts'
import type { LiveGrant, ProblemCode } from '@millrace/contracts'
import { isTransient } from '@millrace/kernel'
import type { Tickets } from './tickets.ts'

/** Where the WebSocket is. */
export const realtimePath = '/realtime'

/** Why nobody was let in. */
export interface Refusal {
  readonly code: ProblemCode
  readonly detail: string
}

export interface AdmitDeps {
  readonly tickets: Pick<Tickets, 'redeem'>
  /** Why there is no room for one more of this project. */
  readonly full: (projectId: string) => Refusal | undefined
  readonly trustProxy: boolean
}

/** Whom a request may be: the grant of its ticket, or why not. Never throws for what Redis does. */
export async function admit(
  request: Pick<IncomingMessage, 'url' | 'headers'>,
  { tickets, full, trustProxy }: AdmitDeps
): Promise<{ readonly grant: LiveGrant } | Refusal> {
  const url = toUrl(request.url)
  if (url?.pathname !== realtimePath) return { code: 'not_found', detail: `the live feed is at ${realtimePath}` }
  const ticket = url.searchParams.get('ticket')
  if (ticket === null) return { code: 'unauthorized', detail: 'connect with ?ticket=, from POST /v1/tickets' }
  let grant: LiveGrant | undefined
  try {
    grant = await tickets.redeem(ticket)
  } catch (error) {
    if (!isTransient(error)) throw error
    return { code: 'unavailable', detail: 'tickets cannot be looked up now' }
  }
  if (grant === undefined)
    return { code: 'unauthorized', detail: 'the ticket is unknown, used, or older than a minute' }
  const { origin } = request.headers
  // No Origin: not a page, and whoever has the ticket may use it.
  if (
    origin !== undefined &&
    origin !== ownOrigin(request, trustProxy) &&
    !isOriginAllowed(origin, grant.origins, [])
  ) {
    return { code: 'origin_not_allowed', detail: 'the project names other origins than that of this page' }
  }
  return full(grant.projectId) ?? { grant }
}

/** The origin of pages that this service itself serves, as the browser sees it. */
export function ownOrigin({ headers }: Pick<IncomingMessage, 'headers'>, trustProxy: boolean): string | undefined {
  const forwardedHost = trustProxy ? headers['x-forwarded-host'] : undefined
  const forwardedProtocol = trustProxy ? headers['x-forwarded-proto'] : undefined
  const host = typeof forwardedHost === 'string' ? forwardedHost : headers.host
  return host === undefined ? undefined : `${forwardedProtocol === 'https' ? 'https' : 'http'}://${host}`
}

/** Answers a request for a connection with a problem, and closes. */
export function refuseUpgrade(socket: Duplex, { code, detail }: Refusal): void {
  const problem = toProblem(code, { detail })
  const body = JSON.stringify(problem)
  const retry = problem.status === 503 || problem.status === 429 ? 'Retry-After: 5\r\n' : ''
  socket.end(
    `HTTP/1.1 ${problem.status} ${reasons[problem.status] ?? 'Error'}\r\nContent-Type: ${problemContentType}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n${retry}Connection: close\r\n\r\n${body}`
  )
}

const reasons: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable'
}

function toUrl(path: string | undefined): URL | undefined {
  return path !== undefined && URL.canParse(path, 'http://localhost') ? new URL(path, 'http://localhost') : undefined
}
