// What the URL of a page says, without building a URL object: its host, its path in one spelling, and the campaign in its
// query. A client may send anything as a URL; all of this takes time in proportion to its length.
import { clickIds } from './traffic-sites.ts'

/** The five utm parameters; absent ones are empty. */
export interface Campaign {
  readonly source: string
  readonly medium: string
  readonly name: string
  readonly term: string
  readonly content: string
}

/** What the query of a URL says of the way to it. */
export interface Arrival {
  readonly campaign: Campaign
  /** The URL carries the click id of an advertiser. */
  readonly hasClickId: boolean
}

const noCampaign: Campaign = { source: '', medium: '', name: '', term: '', content: '' }
const nothing: Arrival = { campaign: noCampaign, hasClickId: false }

/** As long as a client may write it in the event itself. */
const longestValue = 255

const parameters: Readonly<Record<string, keyof Campaign>> = {
  utm_source: 'source',
  utm_medium: 'medium',
  utm_campaign: 'name',
  utm_term: 'term',
  utm_content: 'content'
}
const clicks: ReadonlySet<string> = new Set(clickIds)

/** The lower-case host of `url` without port and a leading `www.`; empty when there is none. */
export function hostOf(url: string): string {
  const start = authorityStart(url)
  if (start < 0) return ''
  let end = start
  while (end < url.length && !isPathStart(url.charCodeAt(end))) end++
  const authority = url.slice(start, end)
  const named = authority.slice(authority.lastIndexOf('@') + 1)
  const colon = named.lastIndexOf(':')
  const host = (colon > 0 && !named.endsWith(']') ? named.slice(0, colon) : named).toLowerCase()
  return host.startsWith('www.') ? host.slice(4) : host
}

/**
 * The path of `url` (a URL, or a path itself) in one spelling: without query, fragment and a slash at its end, without
 * empty, `.` and `..` segments, with percent escapes of letters undone. `/` for a host alone; empty for anything else.
 */
export function pathOf(url: string): string {
  const authority = authorityStart(url)
  if (authority < 0 && !url.startsWith('/')) return ''
  const end = endOfPath(url, Math.max(authority, 0))
  const slash = authority < 0 ? 0 : url.indexOf('/', authority)
  return slash < 0 || slash >= end ? (authority === end ? '' : '/') : normalise(url.slice(slash, end))
}

/** `path` as `pathOf` spells it; a text that does not start with a slash stays as it is. */
export function spellPath(path: string): string {
  return path.startsWith('/') ? normalise(path.slice(0, endOfPath(path, 0))) : path
}

/** The campaign and click id in the query of `url`. */
export function arrivalOf(url: string): Arrival {
  const question = url.indexOf('?')
  if (question < 0) return nothing
  const fragment = url.indexOf('#')
  if (fragment >= 0 && fragment < question) return nothing
  const query = url.slice(question + 1, fragment < 0 ? url.length : fragment)
  let found: Partial<Record<keyof Campaign, string>> | undefined
  let hasClickId = false
  for (const part of query.split('&')) {
    const equals = part.indexOf('=')
    if (equals <= 0 || equals === part.length - 1) continue
    const name = part.slice(0, equals).toLowerCase()
    const field = Object.hasOwn(parameters, name) ? parameters[name] : undefined
    if (field !== undefined) found = { [field]: decodeValue(part.slice(equals + 1)), ...found }
    else if (clicks.has(name)) hasClickId = true
  }
  if (found === undefined && !hasClickId) return nothing
  return { campaign: { ...noCampaign, ...found }, hasClickId }
}

/** Index after `//`, when only a scheme stands before it; else -1. */
function authorityStart(url: string): number {
  const slashes = url.indexOf('//')
  return slashes === 0 || (slashes > 0 && url.charAt(slashes - 1) === ':') ? slashes + 2 : -1
}

function isPathStart(code: number): boolean {
  return code === 0x2f || code === 0x3f || code === 0x23
}

function endOfPath(url: string, from: number): number {
  for (let at = from; at < url.length; at++) {
    const code = url.charCodeAt(at)
    if (code === 0x3f || code === 0x23) return at
  }
  return url.length
}

function normalise(path: string): string {
  const plain = path.includes('%') ? decodePath(path) : path
  const isPlain = !plain.includes('//') && !plain.includes('/.')
  const joined = isPlain ? plain : joinSegments(plain)
  return joined.length > 1 && joined.endsWith('/') ? joined.slice(0, -1) : joined
}

function joinSegments(path: string): string {
  const kept: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop()
    else if (segment !== '' && segment !== '.') kept.push(segment)
  }
  return `/${kept.join('/')}`
}

/** Escapes of `/`, `?`, `#` and the like stay, since they would change the meaning; so does a path with a broken one. */
function decodePath(path: string): string {
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}

/** A value of a query, at most `longestValue` characters of it. */
function decodeValue(value: string): string {
  const cut = value.length > longestValue ? value.slice(0, longestValue) : value
  const spaced = cut.includes('+') ? cut.replaceAll('+', ' ') : cut
  if (!spaced.includes('%')) return spaced.toWellFormed()
  try {
    return decodeURIComponent(spaced)
  } catch {
    return spaced.toWellFormed()
  }
}
