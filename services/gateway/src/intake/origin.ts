// What a request says of where it comes from, as far as it is to be stored.
import type { IncomingMessage } from 'node:http'
import { countryCode } from '@millrace/contracts'
import type { Origin } from '../acceptance.ts'

export interface OriginSettings {
  readonly collect: { readonly ip: boolean; readonly userAgent: boolean }
  /** Lower-case name of the header in which a proxy tells the country of the sender; empty: none is stored. */
  readonly countryHeader: string
  /** Take the address of the client from X-Forwarded-For. */
  readonly trustProxy: boolean
}

const maxUserAgentLength = 1_024
const maxAddressLength = 64
const nothing: Origin = {}

/** The address, user agent and country of a request, each if it is to be stored. */
export function originOf(request: IncomingMessage, { collect, countryHeader, trustProxy }: OriginSettings): Origin {
  if (!collect.ip && !collect.userAgent && countryHeader === '') return nothing
  return {
    ip: collect.ip ? addressOf(request, trustProxy) : undefined,
    userAgent: collect.userAgent ? request.headers['user-agent']?.slice(0, maxUserAgentLength) : undefined,
    country: countryHeader === '' ? undefined : countryIn(request.headers[countryHeader])
  }
}

/** A proxy writes one of its own codes, such as XX, where it knows no country: nothing is stored then. */
function countryIn(header: string | string[] | undefined): string | undefined {
  const country = countryCode(Array.isArray(header) ? header[0] : header)
  return country === '' ? undefined : country
}

/** The address of the client; behind a proxy the first one that X-Forwarded-For names. */
function addressOf({ headers, socket }: IncomingMessage, trustProxy: boolean): string | undefined {
  const forwarded = trustProxy ? headers['x-forwarded-for'] : undefined
  const first = (Array.isArray(forwarded) ? forwarded[0] : forwarded)?.split(',', 1)[0]?.trim()
  return first === undefined || first === '' ? socket.remoteAddress : first.slice(0, maxAddressLength)
}
