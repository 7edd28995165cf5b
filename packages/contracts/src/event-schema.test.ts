import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { compileEventSchema } from './event-schema.ts'

const purchase = {
  type: 'object',
  required: ['amount', 'currency'],
  additionalProperties: false,
  properties: {
    amount: { type: 'number', minimum: 0 },
    currency: { enum: ['EUR', 'USD'] },
    coupon: { type: 'string', maxLength: 20, pattern: '^[A-Z]{3}-\\d{4}$' },
    items: { type: 'array', items: { $ref: '#/$defs/item' } }
  },
  $defs: {
    item: { type: 'object', required: ['sku'], properties: { sku: { type: 'string' }, at: { format: 'date-time' } } }
  }
}

interface Hostile {
  readonly name: string
  readonly schema: unknown
  readonly says: string
}

// Data for any implementation: what must be refused when a schema is registered.
const hostile = JSON.parse(
  readFileSync(new URL('../test/fixtures/hostile-schemas.json', import.meta.url), 'utf8')
) as readonly Hostile[]

describe('compileEventSchema', () => {
  it.each([
    ['fits', { amount: 1, currency: 'EUR', items: [{ sku: 'a', at: '2026-01-01T00:00:00Z' }] }, undefined],
    ['is absent', undefined, { pointer: '/properties/amount', expected: 'to be present' }],
    [
      'has a wrong type',
      { amount: '1', currency: 'EUR' },
      { pointer: '/properties/amount', expected: 'must be number' }
    ],
    [
      'has another value',
      { amount: 1, currency: 'DM' },
      { pointer: '/properties/currency', expected: 'must be equal to one of the allowed values: ["EUR","USD"]' }
    ],
    [
      'has a member too many',
      { amount: 1, currency: 'EUR', 'a/b': 1 },
      { pointer: '/properties/a~1b', expected: 'to be absent: the schema has no such member' }
    ],
    [
      'breaks a pattern',
      { amount: 1, currency: 'EUR', coupon: 'x' },
      { pointer: '/properties/coupon', expected: 'must match pattern "^[A-Z]{3}-\\d{4}$"' }
    ],
    [
      'breaks a part by reference',
      { amount: 1, currency: 'EUR', items: [{ sku: 'a' }, {}] },
      { pointer: '/properties/items/1/sku', expected: 'to be present' }
    ],
    [
      'breaks a format',
      { amount: 1, currency: 'EUR', items: [{ sku: 'a', at: 'today' }] },
      { pointer: '/properties/items/0/at', expected: 'must match format "date-time"' }
    ]
  ])('says where properties that %s break it', (_what, properties, mismatch) => {
    expect(compileEventSchema(purchase).check(properties)).toEqual(mismatch)
  })

  it.each([
    ['date', '2026-02-28', '2026-02-30'],
    ['uuid', '019aa3b2-0000-7000-8000-000000000000', '019aa3b2'],
    ['email', 'a@b.example', 'a b@c'],
    ['uri', 'https://shop.example/a', 'shop']
  ])('knows the format %s', (format, good, bad) => {
    const schema = compileEventSchema({ properties: { a: { type: 'string', format } } })
    expect([schema.check({ a: good }), schema.check({ a: bad })?.pointer]).toEqual([undefined, '/properties/a'])
  })

  it('keeps schemas with the same $id apart', () => {
    const schema = (type: string) => compileEventSchema({ $id: 'urn:shop:one', properties: { a: { type } } })
    expect([schema('string').check({ a: 'x' }), schema('number').check({ a: 1 })]).toEqual([undefined, undefined])
  })

  it('answers a pattern that is slow elsewhere by the same steps per character', () => {
    const schema = compileEventSchema({
      properties: { a: { type: 'string', maxLength: 1_000, pattern: '^(\\w+\\s?)*$' } }
    })
    expect(schema.check({ a: `${'a'.repeat(200)}!` })?.pointer).toBe('/properties/a')
  })

  it.each(hostile)('refuses $name', ({ schema, says }) => {
    expect(() => compileEventSchema(schema)).toThrow(says)
  })

  it('takes a reference for as many parts as it leads to', () => {
    const steps = Array.from({ length: 12 }, (_, step) => {
      const next = { $ref: `#/$defs/a${step + 1}` }
      return [`a${step}`, { anyOf: [next, next] }]
    })
    const $defs = { ...Object.fromEntries(steps), a12: { type: 'array' } }
    expect(() => compileEventSchema({ $defs, $ref: '#/$defs/a0' })).toThrow('deeper than 16 levels')
    const wide = Array.from({ length: 200 }, () => ({ $ref: '#/$defs/x' }))
    const x = { anyOf: Array.from({ length: 20 }, () => ({ type: 'array' })) }
    expect(() => compileEventSchema({ $defs: { x }, anyOf: wide })).toThrow('more than 2000 parts')
  })

  it('takes names of properties and constants for what they are', () => {
    const schema = compileEventSchema({
      properties: {
        pattern: { type: 'string' },
        patternProperties: { type: 'string' },
        $ref: { type: 'string' },
        fixed: { const: { $ref: 'elsewhere', pattern: '(' } }
      }
    })
    expect(schema.check({ pattern: '(', patternProperties: 1 })?.pointer).toBe('/properties/patternProperties')
  })

  it('does not take what every object inherits for a property', () => {
    expect(compileEventSchema({ required: ['toString'] }).check({})?.pointer).toBe('/properties/toString')
  })

  it('refuses what is too deep, has too many parts or is too long', () => {
    let deep: object = {}
    for (let level = 0; level < 20; level++) deep = { not: deep }
    expect(() => compileEventSchema(deep)).toThrow('deeper than 16 levels')
    const wide = Object.fromEntries(Array.from({ length: 3_000 }, (_, index) => [`p${index}`, true]))
    expect(() => compileEventSchema({ properties: wide })).toThrow('more than 2000 parts')
    expect(() => compileEventSchema({ description: 'x'.repeat(70_000) })).toThrow('at most 65536')
  })
})
