// Settings that work and should not go live: secrets that can be guessed, stores that everybody on the way can read.
import { findingsOf, orOk } from './finding.ts'
import type { Finding } from './finding.ts'

/** The environment that services run with, as far as whoever asks knows it. */
export type KnownSettings = Readonly<Record<string, string | undefined>>

const guessable = new Set([
  '',
  'password',
  'postgres',
  'admin',
  'millrace',
  'secret',
  'changeme',
  'change-me',
  'test',
  'root',
  'default',
  'minioadmin',
  'redis',
  'clickhouse'
])
const shortestSecret = 16
const secrets = ['API_KEY_PEPPER', 'ADMIN_TOKEN'] as const

/** Looks at secrets and addresses without printing any. What listens on this machine alone needs neither password nor TLS. */
export function checkSettings(settings: KnownSettings): readonly Finding[] {
  const found = findingsOf('settings')
  const weak = secrets.flatMap((name) => {
    const value = settings[name]
    if (value === undefined || (value.length >= shortestSecret && new Set(value).size > 4)) return []
    return [
      found.failure(name, 'can be guessed', `${name}=$(openssl rand -hex 32); see key rotation in docs/operations.md`)
    ]
  })
  const known = Object.entries(settings).filter(([name, value]) => name.endsWith('_URL') && (value ?? '') !== '')
  const urls = known.flatMap(([name, value = '']) => urlFindings(name, value))
  return orOk(
    [...weak, ...urls, ...kafkaFindings(settings)],
    found.ok('settings', 'no secret can be guessed, nothing crosses a network in the open')
  )
}

const plain: Readonly<Record<string, string>> = { 'redis:': 'rediss:', 'http:': 'https:' }
const withPassword = /^(REDIS|DATABASE|CLICKHOUSE)_/

function urlFindings(name: string, text: string): readonly Finding[] {
  const found = findingsOf('settings')
  // Several hosts and schemes of our own: only what stands before the first host is looked at.
  const [, scheme = '', user = '', host = ''] = /^([a-z0-9+]+:)\/\/(?:([^@/]*)@)?([^/,?]*)/i.exec(text) ?? []
  if (isHere(host) || scheme === 'file:' || scheme === 's3:') return []
  const findings: Finding[] = []
  const password = user.slice(user.indexOf(':') + 1)
  if (withPassword.test(name) && guessable.has(user.includes(':') ? decode(password).toLowerCase() : ''))
    findings.push(
      found.failure(
        name,
        'its password can be guessed, or there is none',
        'a password of the server, made by openssl rand -hex 24'
      )
    )
  const better = plain[scheme]
  if (better !== undefined && isOutside(host))
    findings.push(
      found.warning(name, `${scheme}// sends what it carries in the open`, `${better}// to a server with a certificate`)
    )
  return findings
}

function kafkaFindings(settings: KnownSettings): readonly Finding[] {
  const brokers = settings['KAFKA_BROKERS']?.split(',') ?? []
  if (settings['KAFKA_SSL'] === 'true' || !brokers.some((broker) => isOutside(broker))) return []
  return [
    findingsOf('settings').warning(
      'KAFKA_SSL',
      'events go to Kafka in the open',
      'KAFKA_SSL=true, and SASL for who may write'
    )
  ]
}

function isHere(host: string): boolean {
  return /^(localhost|127\.|\[::1\]|::1)/.test(host)
}

/** A name with a dot that is not of a cluster, or an address that is not private: somebody else's network is on the way. */
function isOutside(host: string): boolean {
  const name = host.replace(/:\d+$/, '')
  if (isHere(name) || !name.includes('.')) return false
  if (/\.(svc|svc\.cluster\.local|local|internal)$/.test(name)) return false
  return !/^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/.test(name)
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
