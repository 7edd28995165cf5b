// Device, system and browser families from a user agent by substring search. Coarse on purpose: families are stable,
// versions are not. A better parser replaces this file under a higher ENRICH_VERSION and is applied by a replay.

/** What a user agent says about its client; unknown parts are empty. */
export interface UserAgentFacts {
  readonly deviceType: 'desktop' | 'mobile' | 'tablet' | 'tv' | 'bot' | ''
  readonly os: string
  readonly browser: string
  readonly isBot: boolean
}

const unknownAgent: UserAgentFacts = { deviceType: '', os: '', browser: '', isBot: false }

/** Order matters in each list: the first word found decides, and many agents name their ancestors. */
const systems: readonly (readonly [word: string, name: string])[] = [
  ['windows', 'Windows'],
  ['iphone', 'iOS'],
  ['ipad', 'iOS'],
  ['ipod', 'iOS'],
  ['cfnetwork', 'iOS'],
  ['android', 'Android'],
  ['cros ', 'ChromeOS'],
  ['mac os x', 'macOS'],
  ['macintosh', 'macOS'],
  ['linux', 'Linux'],
  ['x11', 'Linux']
]
const browsers: readonly (readonly [word: string, name: string])[] = [
  ['edg/', 'Edge'],
  ['edga/', 'Edge'],
  ['edgios/', 'Edge'],
  ['edge/', 'Edge'],
  ['opr/', 'Opera'],
  ['opera', 'Opera'],
  ['samsungbrowser/', 'Samsung Internet'],
  ['yabrowser/', 'Yandex'],
  ['ucbrowser/', 'UC Browser'],
  ['firefox/', 'Firefox'],
  ['fxios/', 'Firefox'],
  ['crios/', 'Chrome'],
  ['chromium/', 'Chromium'],
  ['chrome/', 'Chrome'],
  ['trident/', 'Internet Explorer'],
  ['msie ', 'Internet Explorer'],
  ['safari/', 'Safari']
]
const automated = [
  'bot',
  'crawl',
  'spider',
  'slurp',
  'headless',
  'lighthouse',
  'facebookexternalhit',
  'pingdom',
  'phantomjs',
  'curl/',
  'wget/',
  'python-',
  'go-http-client',
  'java/',
  'axios/',
  'node-fetch',
  'postmanruntime',
  'libwww',
  'scrapy'
]
const televisions = ['smart-tv', 'smarttv', 'appletv', 'apple tv', 'googletv', 'android tv', 'hbbtv', 'roku', 'crkey']

/** The facts of `agent`; all empty for an empty one. */
export function scanUserAgent(agent: string): UserAgentFacts {
  if (agent === '') return unknownAgent
  const lower = agent.toLowerCase()
  const os = family(systems, lower)
  const browser = family(browsers, lower)
  if (isAutomated(lower)) return { deviceType: 'bot', os, browser, isBot: true }
  return { deviceType: deviceOf(lower, os), os, browser, isBot: false }
}

function family(list: readonly (readonly [string, string])[], lower: string): string {
  for (const [word, name] of list) if (lower.includes(word)) return name
  return ''
}

/** A telephone maker is called Cubot; its phones are not robots. */
function isAutomated(lower: string): boolean {
  const named = lower.includes('cubot') ? lower.replaceAll('cubot', '') : lower
  return automated.some((word) => named.includes(word))
}

function deviceOf(lower: string, os: string): UserAgentFacts['deviceType'] {
  if (televisions.some((word) => lower.includes(word))) return 'tv'
  if (lower.includes('ipad') || lower.includes('tablet')) return 'tablet'
  if (os === 'iOS') return 'mobile'
  // Android tablets leave out the word that Android phones carry.
  if (os === 'Android') return lower.includes('mobile') ? 'mobile' : 'tablet'
  if (lower.includes('mobile')) return 'mobile'
  return os === '' ? '' : 'desktop'
}
