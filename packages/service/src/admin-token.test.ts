import { describe, expect, it } from 'vitest'
import { isAdmin } from './admin-token.ts'

const token = 'mr_a_secret'

describe('isAdmin', () => {
  it.each([
    ['Bearer mr_a_secret', true],
    ['bearer  mr_a_secret', true],
    ['Bearer mr_a_secre', false],
    ['Bearer mr_a_secret2', false],
    ['Bearer ', false],
    ['mr_a_secret', false],
    ['Basic  mr_a_secret', false],
    [undefined, false]
  ])('%j is the token: %j', (header, expected) => {
    expect(isAdmin(header, token)).toBe(expected)
  })

  it('lets nobody in while there is no token', () => {
    expect(isAdmin('Bearer ', '')).toBe(false)
  })
})
