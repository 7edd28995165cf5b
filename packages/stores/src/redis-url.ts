// Where a Redis is, read from one URL. Schemes: redis, rediss (TLS), redis+cluster and redis+sentinel (many hosts).
import { AppError } from '@millrace/kernel'

export interface RedisHost {
  readonly host: string
  readonly port: number
}

interface Credentials {
  readonly username?: string
  readonly password?: string
}

export type RedisTarget = Credentials &
  (
    | {
        readonly kind: 'single'
        readonly host: string
        readonly port: number
        readonly db: number
        readonly tls: boolean
      }
    | {
        readonly kind: 'cluster'
        readonly hosts: readonly RedisHost[]
        /** Commands that only read go to replicas, for whoever bears values that are late. */
        readonly replicas: boolean
        readonly tls: boolean
      }
    | {
        readonly kind: 'sentinel'
        readonly hosts: readonly RedisHost[]
        readonly master: string
        /** Connect to a replica, for whoever only reads and bears values that are late. */
        readonly replicas: boolean
        readonly db: number
        readonly tls: boolean
      }
  )

const shape =
  /^(redis|rediss|redis\+cluster|redis\+sentinel):\/\/(?:([^@/?]*)@)?([^/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/

/**
 * The target of `url`: `redis://user:pass@host:6379/0`, `rediss://...`, `redis+cluster://h1:p,h2:p?tls=true&replicas=true`,
 * `redis+sentinel://h1:p,h2:p/master?db=0&tls=true&replicas=true`. Throws PIPE_CONFIG_INVALID, which never quotes the URL.
 */
export function parseRedisUrl(url: string): RedisTarget {
  const match = shape.exec(url)
  if (match === null) throw invalid('is not redis://, rediss://, redis+cluster:// or redis+sentinel:// with a host')
  const [, scheme = '', userInfo, authority = '', path = '', search = ''] = match
  const query = new URLSearchParams(search)
  const credentials = parseCredentials(userInfo)
  const tls = scheme === 'rediss' || query.get('tls') === 'true'
  const hosts = authority.split(',').map((part) => parseHost(part, scheme === 'redis+sentinel' ? 26_379 : 6379))
  switch (scheme) {
    case 'redis+cluster':
      if (path !== '') throw invalid('names a database; a cluster has only one')
      return { kind: 'cluster', hosts, replicas: query.get('replicas') === 'true', tls, ...credentials }
    case 'redis+sentinel':
      if (path === '') throw invalid('names no master: redis+sentinel://host:26379/master')
      return {
        kind: 'sentinel',
        hosts,
        master: decode(path),
        replicas: query.get('replicas') === 'true',
        db: parseDb(query.get('db') ?? '0'),
        tls,
        ...credentials
      }
    default: {
      const [first, ...rest] = hosts
      if (first === undefined || rest.length > 0)
        throw invalid('names several hosts; use redis+cluster or redis+sentinel')
      return { kind: 'single', ...first, db: parseDb(path === '' ? '0' : path), tls, ...credentials }
    }
  }
}

function parseHost(part: string, defaultPort: number): RedisHost {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+)(?::(\d{1,5}))?$/.exec(part)
  const port = match?.[2] === undefined ? defaultPort : Number(match[2])
  if (match?.[1] === undefined || port < 1 || port > 65_535) throw invalid('has a host that is not name:port')
  return { host: match[1].replace(/^\[|\]$/g, ''), port }
}

function parseCredentials(userInfo: string | undefined): Credentials {
  if (userInfo === undefined || userInfo === '') return {}
  const colon = userInfo.indexOf(':')
  const username = decode(colon < 0 ? userInfo : userInfo.slice(0, colon))
  const password = colon < 0 ? '' : decode(userInfo.slice(colon + 1))
  return { ...(username === '' ? {} : { username }), ...(password === '' ? {} : { password }) }
}

function parseDb(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw invalid('has a database that is not a number')
  return Number(text)
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid('has a broken percent escape')
  }
}

function invalid(problem: string): AppError {
  return new AppError('PIPE_CONFIG_INVALID', `The Redis URL ${problem}.`)
}
