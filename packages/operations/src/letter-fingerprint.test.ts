import { expect, it } from 'vitest'
import { fingerprintOf, normalizeMessage } from './letter-fingerprint.ts'

it.each([
  [`value 'abc' of row 17 is out of range`, 'value <text> of row <n> is out of range'],
  [
    'Cannot parse "1.5e" at (line 3, column 12):  (at row 9)',
    'Cannot parse <text> at (line <n>, column <n>): (at row <n>)'
  ],
  ['event 0192f8a1-7c3d-7abc-8def-0123456789ab is bad', 'event <id> is bad'],
  ['session s8f7d6s5f4d3s2a1q0 is unknown', 'session <id> is unknown'],
  ['not an event: properties is not an object', 'not an event: properties is not an object'],
  ['an_unusually_long_word_is_no_value', 'an_unusually_long_word_is_no_value']
])('%s is %s', (message, expected) => {
  expect(normalizeMessage(message)).toBe(expected)
})

it('is the same for letters of one cause and differs by group, class, code and stage', () => {
  const cause = { group: 'load', stage: 'handle', reason: 'constraint', code: 'PIPE_X', message: 'row 1' } as const
  const same = fingerprintOf({ ...cause, message: 'row 2' })
  expect(same).toBe(fingerprintOf(cause))
  expect(same).toMatch(/^[0-9a-f]{12}$/)
  const others = [
    { ...cause, group: 'record' },
    { ...cause, stage: 'decode' as const },
    { ...cause, reason: 'type' as const },
    { ...cause, code: 'PIPE_Y' },
    { ...cause, message: 'column 1' }
  ]
  expect(new Set([cause, ...others].map(fingerprintOf)).size).toBe(6)
})
