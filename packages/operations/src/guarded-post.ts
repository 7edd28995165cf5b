// A POST to an address that somebody configured, and to nowhere else: the host is on a list, its name is resolved once, every address
// that it has must be outside (outside-address.ts), the connection goes to that very address, and a redirect is a failure.
// So neither a name that changes its address between check and use nor an answer can lead the request inside.
import { lookup } from 'node:dns/promises'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { AppError, toError } from '@millrace/kernel'
import type { AddressGuard } from './outside-address.ts'

export interface GuardedPostOptions {
  /** Host names, without port, that may be asked. */
  readonly hosts: readonly string[]
  readonly guard: AddressGuard
  readonly timeoutMs: number
  /** Addresses of a name; the system's resolver by default. */
  readonly resolve?: (host: string) => Promise<readonly string[]>
  /** Sends to `address` and answers with the status; by default over the network. */
  readonly send?: SendPost
}

export interface PostTarget {
  readonly url: URL
  /** Where to connect; the name in the URL is for the Host header and the certificate alone. */
  readonly address: string
  readonly body: string
  readonly timeoutMs: number
}

/** Resolves with the status of the reply. */
export type SendPost = (target: PostTarget) => Promise<number>

/**
 * Creates the sender of JSON `body`s to `url`. It throws PIPE_INVALID_INPUT where the rules forbid the request, which is then not
 * made, and PIPE_DELIVERY when it failed, was answered with another status than 2xx, or with a redirect.
 */
export function createGuardedPost(options: GuardedPostOptions): (url: string, body: string) => Promise<void> {
  const { guard, timeoutMs, resolve = resolveAll, send = sendOverNetwork } = options
  const hosts = new Set(options.hosts.map((host) => host.toLowerCase()))
  return async function post(text, body) {
    const url = checkedUrl(text, hosts)
    const host = bareHost(url)
    const addresses = isIP(host) === 0 ? await resolved(resolve, host) : [host]
    const inside = addresses.find((address) => !guard(address))
    if (inside !== undefined) throw forbidden(`${url.hostname} leads to ${inside}, which is no address outside`)
    const [address] = addresses
    if (address === undefined) throw failed(`${url.hostname} has no address`)
    const status = await send({ url, address, body, timeoutMs }).catch((error: unknown) => {
      throw failed(`${url.hostname} cannot be reached: ${toError(error).message}`, error)
    })
    if (status >= 300 && status < 400) throw failed(`${url.hostname} answered ${status}; redirects are not followed`)
    if (status < 200 || status >= 300) throw failed(`${url.hostname} answered ${status}`)
  }
}

function checkedUrl(text: string, hosts: ReadonlySet<string>): URL {
  if (!URL.canParse(text)) throw forbidden('the address is no URL')
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw forbidden(`${url.protocol} is not http or https`)
  if (url.username !== '' || url.password !== '') throw forbidden('the address holds a user or password')
  if (!hosts.has(bareHost(url)) && !hosts.has(url.hostname))
    throw forbidden(`${url.hostname} is not on the list of hosts`)
  return url
}

function bareHost({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '')
}

async function resolved(
  resolve: (host: string) => Promise<readonly string[]>,
  host: string
): Promise<readonly string[]> {
  try {
    return await resolve(host)
  } catch (error) {
    throw failed(`${host} cannot be resolved`, error)
  }
}

async function resolveAll(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}

/** The name is not resolved again: the connection is given the address. Nothing of the reply but its status is read. */
function sendOverNetwork({ url, address, body, timeoutMs }: PostTarget): Promise<number> {
  const family = isIP(address)
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      agent: false,
      signal: AbortSignal.timeout(timeoutMs),
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      lookup: (_host, { all }, done) => (all === true ? done(null, [{ address, family }]) : done(null, address, family))
    })
    request.once('response', (response) => {
      response.destroy()
      resolve(response.statusCode ?? 0)
    })
    request.once('error', reject)
    request.end(body)
  })
}

function forbidden(message: string): AppError {
  return new AppError('PIPE_INVALID_INPUT', message)
}

function failed(message: string, cause?: unknown): AppError {
  return new AppError('PIPE_DELIVERY', message, cause === undefined ? {} : { cause })
}
