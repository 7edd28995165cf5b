// Where a visit came from: the campaign decides, else the referrer, else it is direct.

/** Classes of traffic. Closed: dashboards group by them. */
export const trafficSources = [
  'paid',
  'email',
  'social',
  'affiliate',
  'campaign',
  'search',
  'internal',
  'referral',
  'direct'
] as const
export type TrafficSource = (typeof trafficSources)[number]

const media: Readonly<Record<string, TrafficSource>> = {
  cpc: 'paid',
  ppc: 'paid',
  cpm: 'paid',
  paid: 'paid',
  paidsearch: 'paid',
  paid_social: 'paid',
  display: 'paid',
  banner: 'paid',
  email: 'email',
  newsletter: 'email',
  social: 'social',
  'social-media': 'social',
  affiliate: 'affiliate',
  partner: 'affiliate',
  organic: 'search'
}
const searchSites = ['google', 'bing', 'yahoo', 'duckduckgo', 'baidu', 'yandex', 'ecosia', 'qwant', 'startpage']
const socialSites = [
  'facebook.com',
  'instagram.com',
  'twitter.com',
  'x.com',
  't.co',
  'linkedin.com',
  'lnkd.in',
  'reddit.com',
  'pinterest.com',
  'tiktok.com',
  'youtube.com',
  'bsky.app',
  'mastodon.social'
]

/** The class of a visit to `url` from `referrer` under a campaign; empty texts mean absent. */
export function classifyTraffic(visit: {
  readonly source: string
  readonly medium: string
  readonly referrer: string
  readonly url: string
}): TrafficSource {
  if (visit.medium !== '' || visit.source !== '') {
    const medium = visit.medium.toLowerCase()
    return Object.hasOwn(media, medium) ? (media[medium] ?? 'campaign') : 'campaign'
  }
  const host = hostOf(visit.referrer)
  if (host === '') return 'direct'
  if (host === hostOf(visit.url)) return 'internal'
  if (socialSites.some((site) => host === site || host.endsWith(`.${site}`))) return 'social'
  const labels = host.split('.')
  return searchSites.some((site) => labels.includes(site)) ? 'search' : 'referral'
}

/** The path of a URL, without query and fragment; empty when there is no host or path. */
export function pathOf(url: string): string {
  const start = authorityStart(url)
  const path = start < 0 ? (url.startsWith('/') ? 0 : -1) : url.indexOf('/', start)
  if (path < 0) return ''
  const query = url.indexOf('?', start < 0 ? 0 : start)
  const fragment = url.indexOf('#', start < 0 ? 0 : start)
  const end = Math.min(query < 0 ? url.length : query, fragment < 0 ? url.length : fragment)
  return path < end ? url.slice(path, end) : ''
}

/** The lower-case host of a URL without port and a leading `www.`; empty when there is none. */
function hostOf(url: string): string {
  const start = authorityStart(url)
  if (start < 0) return ''
  let end = start
  while (end < url.length && !'/?#'.includes(url.charAt(end))) end++
  const authority = url.slice(url.lastIndexOf('@', end - 1) >= start ? url.lastIndexOf('@', end - 1) + 1 : start, end)
  const colon = authority.lastIndexOf(':')
  const host = (colon > 0 ? authority.slice(0, colon) : authority).toLowerCase()
  return host.startsWith('www.') ? host.slice(4) : host
}

/** Index after `//`, when only a scheme stands before it; else -1. */
function authorityStart(url: string): number {
  const slashes = url.indexOf('//')
  return slashes === 0 || (slashes > 0 && url.charAt(slashes - 1) === ':') ? slashes + 2 : -1
}
