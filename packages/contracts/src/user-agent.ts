// Device, system and browser families from a user agent by substring search. Coarse on purpose: families are stable,
// versions are not. Without regular expressions, so a hostile agent costs no more than a long one.
import { createLru } from '@millrace/kernel'
import { automatedWords, browserWords, systemWords, televisionWords } from './user-agent-words.ts'
import type { AgentWords } from './user-agent-words.ts'

/** What a user agent says about its client; unknown parts are empty. */
export interface UserAgentFacts {
  readonly deviceType: 'desktop' | 'mobile' | 'tablet' | 'tv' | 'bot' | ''
  readonly os: string
  readonly browser: string
  readonly isBot: boolean
}

const unknownAgent: UserAgentFacts = { deviceType: '', os: '', browser: '', isBot: false }

/** Real agents end long before; the rest of a longer one is not looked at. */
const longestAgent = 1_024

/** Longer agents are not remembered: they are rare, and a text may hold on to the record that it was cut from. */
const longestRemembered = 512

/** The facts of `agent`; all empty for an empty one. */
export function scanUserAgent(agent: string): UserAgentFacts {
  if (agent === '') return unknownAgent
  const lower = (agent.length > longestAgent ? agent.slice(0, longestAgent) : agent).toLowerCase()
  const os = family(systemWords, lower)
  const browser = browserOf(lower, os)
  if (isAutomated(lower)) return { deviceType: 'bot', os, browser, isBot: true }
  return { deviceType: deviceOf(lower, os), os, browser, isBot: false }
}

/** `scanUserAgent` that remembers the `limit` agents seen last. */
export function createAgentScanner(limit: number): (agent: string) => UserAgentFacts {
  const known = createLru<string, UserAgentFacts>(limit)
  return (agent) => {
    if (agent === '' || agent.length > longestRemembered) return scanUserAgent(agent)
    const remembered = known.get(agent)
    if (remembered !== undefined) return remembered
    const facts = scanUserAgent(agent)
    known.set(agent, facts)
    return facts
  }
}

function family(list: AgentWords, lower: string): string {
  for (const [word, name] of list) if (lower.includes(word)) return name
  return ''
}

/** The browser that came with old Androids called itself Safari. */
function browserOf(lower: string, os: string): string {
  const browser = family(browserWords, lower)
  return browser === 'Safari' && os === 'Android' ? 'Android Browser' : browser
}

function isAutomated(lower: string): boolean {
  return namesBot(lower) || automatedWords.some((word) => lower.includes(word))
}

/** Whether `bot` ends a word. A telephone maker is called Cubot; its phones are not robots. */
function namesBot(lower: string): boolean {
  for (let at = lower.indexOf('bot'); at >= 0; at = lower.indexOf('bot', at + 3)) {
    const next = lower.charCodeAt(at + 3)
    const endsWord = !(next >= 97 && next <= 122)
    if (endsWord && !lower.startsWith('cu', at - 2)) return true
  }
  return false
}

function deviceOf(lower: string, os: string): UserAgentFacts['deviceType'] {
  if (televisionWords.some((word) => lower.includes(word))) return 'tv'
  // Windows says so of every machine with a pen.
  if (lower.includes('ipad') || (lower.includes('tablet') && !lower.includes('tablet pc'))) return 'tablet'
  if (os === 'iOS') return 'mobile'
  // Android tablets leave out the word that Android phones carry.
  if (os === 'Android') return lower.includes('mobile') || lower.startsWith('dalvik') ? 'mobile' : 'tablet'
  if (lower.includes('mobile') || os === 'KaiOS' || os === 'Windows Phone' || os === 'BlackBerry') return 'mobile'
  return os === '' || os === 'watchOS' ? '' : 'desktop'
}
