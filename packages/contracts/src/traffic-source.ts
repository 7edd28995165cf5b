// Where a visit came from: the campaign decides, then a click on an advertisement, then the referrer, else it is direct.
import { hostOf } from './page-url.ts'
import type { Campaign } from './page-url.ts'
import { mediaClasses, searchHosts, siteClasses, sourceClasses, worldwideSearch } from './traffic-sites.ts'

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

/** What is known of the way of a visit; empty texts mean absent. */
export interface Visit {
  readonly url: string
  readonly referrer: string
  readonly campaign: Campaign
  /** The URL carries the click id of an advertiser. */
  readonly hasClickId: boolean
}

/** The class of a visit. */
export function classifyTraffic({ url, referrer, campaign, hasClickId }: Visit): TrafficSource {
  if (campaign.medium !== '' || campaign.source !== '') {
    const known = classOf(mediaClasses, campaign.medium) ?? classOf(sourceClasses, campaign.source)
    return known ?? (hasClickId ? 'paid' : 'campaign')
  }
  if (hasClickId) return 'paid'
  const host = hostOf(referrer)
  if (host === '') return 'direct'
  if (host === hostOf(url)) return 'internal'
  return classOfHost(host)
}

function classOf(classes: Readonly<Record<string, TrafficSource>>, name: string): TrafficSource | undefined {
  const lower = name.toLowerCase()
  return Object.hasOwn(classes, lower) ? classes[lower] : undefined
}

/** Longer ones are no names of DNS, and would be looked up once per dot. */
const longestHost = 253

/** `host`, then without its first label, and so on, until one is known. */
function classOfHost(host: string): TrafficSource {
  if (host.length > longestHost) return 'referral'
  for (let at = 0; at >= 0; at = host.indexOf('.', at) + 1 || -1) {
    const domain = host.slice(at)
    if (Object.hasOwn(siteClasses, domain)) return siteClasses[domain] ?? 'referral'
  }
  return isWorldwideSearch(host) ? 'search' : 'referral'
}

/** `google.de`, `search.yahoo.co.jp`; not `docs.google.com`, and not `google.attacker.example`. */
function isWorldwideSearch(host: string): boolean {
  const labels = host.split('.')
  const brand = labels.findIndex((label) => worldwideSearch.has(label))
  const country = labels.slice(brand + 1)
  const isCountry = country.length > 0 && country.length <= 2 && country.every((label) => label.length <= 3)
  return brand >= 0 && isCountry && searchHosts.has(labels.slice(0, brand).join('.'))
}
