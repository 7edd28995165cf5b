import { describe, expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import { bool, bytes, int, list, ms, oneOf, secret, str, url, urls } from './fields.ts'
import { load } from './load.ts'
import { replicaLagRule } from './shared.ts'

const spec = {
  PORT: int({ doc: 'Port.', default: 4001, min: 1, max: 65_535 }),
  BROKERS: list({ doc: 'Brokers.', min: 1 }),
  PEPPER: secret({ doc: 'Pepper.' }),
  FLUSH_AFTER: ms({ doc: 'Age.', default: 1_000 }),
  FLUSH_BYTES: bytes({ doc: 'Size.', default: 1024 }),
  LEVEL: oneOf({ doc: 'Level.', default: 'info', values: ['info', 'debug'] }),
  SSL: bool({ doc: 'TLS.', default: false }),
  STORE: url({ doc: 'Store.', protocols: ['redis:'], default: 'redis://127.0.0.1' }),
  NAME: str({ doc: 'Name.', default: 'x', pattern: /^[a-z]+$/ })
}
const good = { BROKERS: 'a:1, b:2', PEPPER: 'hidden' }

const messageOf = (env: Record<string, string>): string => {
  try {
    load(spec, env)
  } catch (error) {
    return error instanceof AppError && error.code === 'PIPE_CONFIG_INVALID' ? error.message : `other: ${String(error)}`
  }
  return 'nothing thrown'
}

describe('load', () => {
  it('takes defaults for what is unset or empty, and freezes the result', () => {
    const config = load(spec, { ...good, PORT: '' })
    expect(config).toEqual({
      PORT: 4001,
      BROKERS: ['a:1', 'b:2'],
      PEPPER: 'hidden',
      FLUSH_AFTER: 1_000,
      FLUSH_BYTES: 1024,
      LEVEL: 'info',
      SSL: false,
      STORE: 'redis://127.0.0.1',
      NAME: 'x'
    })
    expect(Object.isFrozen(config)).toBe(true)
  })

  it('reports every problem at once, each with its variable', () => {
    const message = messageOf({ PORT: '70000', FLUSH_AFTER: 'soon', LEVEL: 'loud', SSL: 'yes', NAME: 'A1' })
    expect(message.split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['7 setting(s) are wrong:'],
      ['PORT', "must be between 1 and 65535, not '70000'"],
      ['BROKERS', 'is required: Brokers.'],
      ['PEPPER', 'is required: Pepper.'],
      ['FLUSH_AFTER', "must be a duration such as 250ms, 5s, 10m, 24h, not 'soon'"],
      ['LEVEL', "must be one of info, debug, not 'loud'"],
      ['SSL', "must be true or false, not 'yes'"],
      ['NAME', "must match ^[a-z]+$, not 'A1'"]
    ])
  })

  it('never quotes the value of a URL, which may hold a password', () => {
    const message = messageOf({ ...good, STORE: 'http://user:hunter2@host' })
    expect(message).toContain('STORE  must be a URL that starts with one of redis:')
    expect(message).not.toContain('hunter2')
  })

  it('reads a list of URLs, and quotes none of them', () => {
    const replicas = { R: urls({ doc: 'Replicas.', protocols: ['postgres:'], default: [] }) }
    expect(load(replicas, {}).R).toEqual([])
    expect(load(replicas, { R: 'postgres://a/x, postgres://u:p%2C@b/x' }).R).toEqual([
      'postgres://a/x',
      'postgres://u:p%2C@b/x'
    ])
    const wrong = (): unknown => load(replicas, { R: 'postgres://a/x,http://u:hunter2@b' })
    expect(wrong).toThrow('R  must be comma-separated URLs that start with one of postgres:')
    expect(wrong).not.toThrow('hunter2')
  })

  it('checks rules across settings only when each setting is right', () => {
    const rule = (config: { PORT: number }): string | undefined =>
      config.PORT === 1 ? 'PORT must not be 1' : undefined
    expect(() => load(spec, { ...good, PORT: '1' }, [rule])).toThrow('PORT must not be 1')
    expect(() => load(spec, { PORT: '1' }, [rule])).not.toThrow('PORT must not be 1')
  })
})

describe('units', () => {
  it.each([
    ['250', 250],
    ['250ms', 250],
    ['5s', 5_000],
    ['10m', 600_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000]
  ])('reads the duration %s as %i ms', (raw, expected) => {
    expect(load(spec, { ...good, FLUSH_AFTER: raw }).FLUSH_AFTER).toBe(expected)
  })

  it.each([
    ['512KiB', 524_288],
    ['128MiB', 134_217_728],
    ['1GiB', 1_073_741_824],
    ['10B', 10]
  ])('reads the size %s as %i bytes', (raw, expected) => {
    expect(load(spec, { ...good, FLUSH_BYTES: raw }).FLUSH_BYTES).toBe(expected)
  })

  it.each(['1.5s', '-1', '1e3', '5 parsecs', 'NaN', '9999999999999999999'])('refuses the duration %s', (raw) => {
    expect(() => load(spec, { ...good, FLUSH_AFTER: raw })).toThrow('FLUSH_AFTER')
  })
})

describe('replicaLagRule', () => {
  it.each([
    [['postgres://a/x'], 5_000, 15_000, undefined],
    [['postgres://a/x'], 5_001, 15_000, 'DATABASE_REPLICA_LAG_MS must be at most a third of KEY_FRESH_MS'],
    [[], 5_001, 15_000, undefined]
  ])('of replicas %j that may be %i ms late and keys that are fresh for %i ms', (replicas, lagMs, freshMs, problem) => {
    const config = { DATABASE_REPLICA_URLS: replicas, DATABASE_REPLICA_LAG_MS: lagMs, KEY_FRESH_MS: freshMs }
    expect(replicaLagRule(config)).toBe(problem)
  })
})
