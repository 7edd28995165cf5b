import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { digestSecret, generateApiKey, parseApiKey, redactApiKeys, sameDigest } from './api-key.ts'

const zeros = (bytes: number): Buffer => Buffer.alloc(bytes)

describe('API keys', () => {
  it('have a fixed form for fixed randomness', () => {
    expect(generateApiKey('write', zeros).key).toBe(`mr_w_${'0'.repeat(40)}2XxDp6`)
  })

  it.each(['write', 'secret'] as const)('of kind %s are parsed back', (kind) => {
    const { key, ...parts } = generateApiKey(kind)
    expect(key).toMatch(kind === 'write' ? /^mr_w_[0-9A-Za-z]{46}$/ : /^mr_s_[0-9A-Za-z]{46}$/)
    expect(parseApiKey(key)).toEqual(parts)
    expect([parts.kind, parts.id.length, parts.secret.length]).toEqual([kind, 8, 32])
  })

  it('draws again the bytes that would favour some characters', () => {
    const bytes = [Buffer.alloc(8, 255), Buffer.from([255, 1, 2, 3, 4, 5, 6, 7]), randomBytes(8), randomBytes(64)]
    expect(generateApiKey('write', (size) => bytes.shift() ?? randomBytes(size)).id.slice(0, 7)).toBe('1234567')
  })

  it('are refused with any one character changed', () => {
    const { key } = generateApiKey('secret')
    for (let index = 0; index < key.length; index++) {
      const changed = key.slice(0, index) + (key[index] === 'A' ? 'B' : 'A') + key.slice(index + 1)
      expect(parseApiKey(changed), changed).toBeUndefined()
    }
    expect(parseApiKey(`${key} `)).toBeUndefined()
    expect(parseApiKey('')).toBeUndefined()
  })

  it('are stored as a digest that depends on the pepper', () => {
    const digest = digestSecret('pepper', 'secret')
    expect(digest.toString('hex')).toBe('804e6d854739162fdea0d455b3aafe67f40d2919406186a27be601596ac6d306')
    expect(sameDigest(digest, digestSecret('pepper', 'secret'))).toBe(true)
    expect(sameDigest(digest, digestSecret('other', 'secret'))).toBe(false)
    expect(sameDigest(digest, digest.subarray(1))).toBe(false)
  })

  it('lose their secret in texts', () => {
    const { key, id } = generateApiKey('write')
    expect(redactApiKeys(`Bearer ${key}, ${key.slice(0, 30)}`)).toBe(`Bearer mr_w_${id}..., mr_w_${id}...`)
  })
})
