import { describe, expect, it } from 'vitest'
import { textMember, toStorableJson } from './json-text.ts'

describe('textMember', () => {
  it.each([
    ['{"action":"zoom"}', 'zoom'],
    ['{"action":""}', ''],
    ['{"action":7}', undefined],
    ['{"inner":{"action":"x"}}', undefined],
    ['{"\\u0061ction":"x"}', undefined],
    ['{}', undefined]
  ])('of %s is %j', (json, value) => expect(textMember(json, 'action')).toBe(value))
})

describe('toStorableJson', () => {
  it('leaves JSON alone that stores take, an escaped backslash before u0000 included in meaning', () => {
    const text = '{"a":[1,"x\\u00e9"],"b":{"c":null}}'
    expect(toStorableJson(text)).toBe(text)
    expect(JSON.parse(toStorableJson('{"a":"\\\\u0000"}'))).toEqual({ a: '\\u0000' })
  })

  it('replaces U+0000 and half pairs in values and names, and keeps whole pairs', () => {
    const text = JSON.stringify({ 'k\0': ['v\0', '\ud800x', '\udc00'], pair: '\u{1F600}' })
    expect(toStorableJson(text)).toBe('{"k\uFFFD":["v\uFFFD","\uFFFDx","\uFFFD"],"pair":"\u{1F600}"}')
  })

  it('keeps a member named __proto__ a member', () => {
    expect(toStorableJson('{"__proto__":"\\u0000"}')).toBe('{"__proto__":"\uFFFD"}')
  })
})
