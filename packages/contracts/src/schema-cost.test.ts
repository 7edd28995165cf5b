import { describe, expect, it } from 'vitest'
import { compileEventSchema } from './event-schema.ts'

const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)
const list = (items: object, more: object = {}): object => ({ properties: { a: { type: 'array', items, ...more } } })
const branches = (count: number): object => ({ anyOf: numbers(count).map((at) => ({ const: `${at}` })) })
const tooCostly = 'more than 6000000 steps'

/** An event of the largest size: as many elements as fit. */
const largest = Array.from({ length: 131_072 }, () => 1)

describe('what a schema may cost', () => {
  it.each([
    ['many values', { enum: numbers(1_500) }],
    ['values that are objects', { enum: numbers(100).map((at) => [at]) }],
    ['many branches', branches(20)],
    ['many branches by reference', { $ref: '#/$defs/many' }, { many: branches(20) }],
    ['a pattern', { type: 'string', maxLength: 100, pattern: '^(a+)+$' }],
    ['a format that takes long', { type: 'string', format: 'email' }],
    ['arrays that are compared in pairs', { type: 'array', maxItems: 40, uniqueItems: true }]
  ])('is bounded on large arrays: %s need maxItems around them', (_name, items: object, $defs: object = {}) => {
    expect(() => compileEventSchema({ $defs, ...list(items) })).toThrow(
      /^schema at \/properties\/a\/items[^:]*: one event could take more than 6000000 steps/
    )
    const bounded = (maxItems: number) => compileEventSchema({ $defs, ...list(items, { maxItems }) })
    if (!('uniqueItems' in items)) {
      // The bound is looked at first: what is beyond it is not checked item by item.
      expect(bounded(100).check({ a: largest })).toMatchObject({ pointer: '/properties/a' })
    }
    expect(() => bounded(131_072)).toThrow(tooCostly)
  })

  it('is bounded on objects: each of a thousand keys may lead to it', () => {
    const map = (count: number): object => ({ additionalProperties: branches(count) })
    expect(() => compileEventSchema(map(400))).toThrow(tooCostly)
    expect(() => compileEventSchema(map(100))).not.toThrow()
  })

  it('is not paid for what is only defined, nor twice for arrays inside arrays', () => {
    expect(() => compileEventSchema({ $defs: { many: list(branches(20)) } })).not.toThrow()
    expect(() =>
      compileEventSchema(list({ type: 'array', items: { type: 'array', items: branches(3) } }))
    ).not.toThrow()
  })

  it('leaves room for what people write', () => {
    const item = {
      type: 'object',
      required: ['sku'],
      properties: {
        sku: { type: 'string' },
        price: { type: 'number' },
        at: { format: 'date-time' },
        size: { enum: ['s', 'm'] }
      }
    }
    const tags = { type: 'array', items: { enum: numbers(200).map(String) } }
    const unique = { type: 'array', items: { type: 'string' }, maxItems: 100, uniqueItems: true }
    const mixed = { type: 'array', items: { anyOf: [{ type: 'string' }, { type: 'number' }] } }
    expect(() =>
      compileEventSchema({ properties: { items: { type: 'array', items: item }, tags, unique, mixed } })
    ).not.toThrow()
  })
})
