import { describe, expect, it } from 'vitest'
import { apiKeyOf } from './key-headers.ts'

describe('apiKeyOf', () => {
  it('reads a bearer token in any case, then X-API-Key', () => {
    expect(apiKeyOf({ authorization: 'Bearer k1' })).toBe('k1')
    expect(apiKeyOf({ authorization: 'bearer   k1 ' })).toBe('k1')
    expect(apiKeyOf({ authorization: 'Bearer k1', 'x-api-key': 'k2' })).toBe('k1')
    expect(apiKeyOf({ 'x-api-key': 'k2' })).toBe('k2')
    expect(apiKeyOf({ authorization: 'Basic abc', 'x-api-key': 'k2' })).toBe('k2')
  })

  it('finds no key in empty, missing or repeated headers', () => {
    expect(apiKeyOf({})).toBeUndefined()
    expect(apiKeyOf({ authorization: 'Bearer ' })).toBeUndefined()
    expect(apiKeyOf({ authorization: 'Bearer', 'x-api-key': '' })).toBeUndefined()
    expect(apiKeyOf({ 'x-api-key': ['a', 'b'] })).toBeUndefined()
  })
})
