import { describe, expect, it } from 'vitest'
import { checkJsonLimits } from './json-limits.ts'

const limits = { maxDepth: 4, maxKeys: 6 }
const check = (text: string) => checkJsonLimits(JSON.parse(text) as object, 'properties', limits)

describe('checkJsonLimits', () => {
  it('accepts what is exactly at the limits', () => {
    expect(check('{"a":{"b":[{"c":1}]},"d":null,"e":true,"f":"x"}')).toBeUndefined()
    expect(check(`{"a":${Number.MAX_SAFE_INTEGER},"b":${-Number.MAX_SAFE_INTEGER},"c":0.1}`)).toBeUndefined()
  })

  it('points at the first level that is too deep, arrays included', () => {
    expect(check('{"a":[[[1]]]}')).toBeUndefined()
    expect(check('{"a":[0,[[[1]]]]}')).toEqual({ code: 'too_deep', pointer: '/properties/a/1/0/0' })
  })

  it('counts keys of all levels together', () => {
    expect(check('{"a":1,"b":1,"c":1,"d":{"e":1,"f":1,"g":1}}')).toEqual({
      code: 'too_many_keys',
      pointer: '/properties/d'
    })
  })

  it.each(['9007199254740992', '-9007199254740992', '1e999', '-1e999', '1e300'])('refuses the number %s', (number) => {
    expect(check(`{"a":{"b":[${number}]}}`)).toEqual({ code: 'number_out_of_range', pointer: '/properties/a/b/0' })
  })

  it('refuses keys that could change a prototype, and only those', () => {
    expect(check('{"a":{"__proto__":{"x":1}}}')).toEqual({
      code: 'forbidden_key',
      pointer: '/properties/a/__proto__'
    })
    expect(check('{"constructor":{"prototype":{"x":1}}}')).toEqual({
      code: 'forbidden_key',
      pointer: '/properties/constructor'
    })
    expect(check('{"constructor":"Lotus","prototype":{"a":1}}')).toBeUndefined()
  })

  it('escapes keys in pointers', () => {
    expect(check('{"a/b":{"c~d":1e999}}')?.pointer).toBe('/properties/a~1b/c~0d')
  })

  it('walks a hundred thousand levels without recursion', () => {
    const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    expect(checkJsonLimits(JSON.parse(deep) as object, 'p', { maxDepth: 200_000, maxKeys: 1 })).toBeUndefined()
    expect(check(deep)?.code).toBe('too_deep')
  })
})
