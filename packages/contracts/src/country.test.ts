import { expect, it } from 'vitest'
import { countryCode } from './country.ts'

it.each([
  ['DE', 'DE'],
  ['ch', 'CH'],
  ['XX', ''],
  ['T1', ''],
  ['deu', ''],
  ['ÄÖ', ''],
  ['', ''],
  [undefined, '']
])('makes %j into %j', (text, code) => {
  expect(countryCode(text)).toBe(code)
})
