import fc from 'fast-check'
import type { GeneratorValue } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileEventSchema } from './event-schema.ts'

/** A value that breaks a schema, and the pointer to where, below the place of the schema. */
interface Broken {
  readonly value: unknown
  readonly at: string
}

/** A schema with values that fit it and values that are broken in one place; each call draws another. */
interface Sample {
  readonly schema: object
  good(): unknown
  bad(): Broken
}

/** Names as clients make them, with the two characters that a pointer escapes. */
const name = fc.array(fc.constantFrom('a', 'b', '/', '~', ' ', 'é', '0'), { minLength: 1, maxLength: 4 })
const nameList = (): fc.Arbitrary<readonly string[]> =>
  fc.uniqueArray(
    name.map((letters) => `n${letters.join('')}`),
    { minLength: 1, maxLength: 4 }
  )
const token = (key: string): string => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
const pick = <T>(draw: GeneratorValue, ...values: readonly T[]): T => draw(fc.constantFrom, ...values)

function numberOf(draw: GeneratorValue): Sample {
  const minimum = draw(fc.integer, { min: -50, max: 50 })
  return {
    schema: { type: 'number', minimum, maximum: minimum + 100 },
    good: () => draw(fc.double, { min: minimum, max: minimum + 100, noNaN: true }),
    bad: () => ({ value: pick<unknown>(draw, minimum + 101, minimum - 1, `${minimum}`, null, [minimum]), at: '' })
  }
}

function textOf(draw: GeneratorValue): Sample {
  const minLength = draw(fc.nat, { max: 10 })
  return {
    schema: { type: 'string', minLength, maxLength: 40, pattern: '^[a-z]*$' },
    good: () => 'xyz'.repeat(20).slice(0, draw(fc.integer, { min: minLength, max: 40 })),
    bad: () => ({ value: pick<unknown>(draw, 'A'.repeat(20), 'x'.repeat(41), 7, true, {}), at: '' })
  }
}

function choiceOf(draw: GeneratorValue): Sample {
  const values = ['one', 'two', 3, null, { four: [4] }].slice(0, draw(fc.integer, { min: 1, max: 5 }))
  return {
    schema: { enum: values },
    good: () => pick<unknown>(draw, ...values),
    bad: () => ({ value: pick<unknown>(draw, 'five', 4, { four: [5] }), at: '' })
  }
}

function listOf(draw: GeneratorValue, depth: number): Sample {
  const item = sampleOf(draw, depth - 1)
  const some = (count: number): unknown[] => Array.from({ length: count }, () => item.good())
  return {
    schema: { type: 'array', items: item.schema, maxItems: 6 },
    good: () => some(draw(fc.nat, { max: 6 })),
    bad: () => {
      if (draw(fc.nat, { max: 3 }) === 0) return { value: pick<unknown>(draw, some(7), 'text', {}), at: '' }
      const [before, after] = [draw(fc.nat, { max: 3 }), draw(fc.nat, { max: 2 })]
      const { value, at } = item.bad()
      return { value: [...some(before), value, ...some(after)], at: `/${before}${at}` }
    }
  }
}

function objectOf(draw: GeneratorValue, depth: number): Sample {
  const keys = draw(nameList)
  const members = new Map(keys.map((key) => [key, sampleOf(draw, depth - 1)]))
  const good = (): Record<string, unknown> => Object.fromEntries([...members].map(([key, each]) => [key, each.good()]))
  return {
    schema: {
      type: 'object',
      required: keys,
      properties: Object.fromEntries([...members].map(([key, { schema }]) => [key, schema])),
      additionalProperties: false
    },
    good,
    bad: () => {
      const fits = good()
      const key = pick(draw, ...keys)
      const how = draw(fc.nat, { max: 5 })
      if (how === 0) return { value: { ...fits, 'x/~y': 1 }, at: '/x~1~0y' }
      if (how === 1)
        return { value: Object.fromEntries(Object.entries(fits).filter(([own]) => own !== key)), at: token(key) }
      const { value, at } = members.get(key)!.bad()
      return { value: { ...fits, [key]: value }, at: token(key) + at }
    }
  }
}

function sampleOf(draw: GeneratorValue, depth: number): Sample {
  const leaves = [numberOf, textOf, choiceOf]
  return pick(draw, ...(depth > 0 ? [...leaves, listOf, objectOf, listOf, objectOf] : leaves))(draw, depth)
}

/** As the gateway has it: through JSON. */
const parsed = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

describe('events made from a schema', () => {
  it('pass it, and one change anywhere is refused at its place', () => {
    const depths = new Map<number, number>()
    fc.assert(
      fc.property(fc.gen(), (draw) => {
        const { schema, good, bad } = objectOf(draw, 3)
        const compiled = compileEventSchema(parsed(schema))
        for (let round = 0; round < 4; round++) {
          expect(compiled.check(parsed(good()))).toBe(undefined)
          const { value, at } = bad()
          const depth = at.split('/').length - 1
          depths.set(depth, (depths.get(depth) ?? 0) + 1)
          expect(compiled.check(parsed(value))?.pointer).toBe(`/properties${at}`)
        }
      }),
      { numRuns: 150 }
    )
    // Changes at every level were among them, down to the leaves.
    expect([...depths.keys()].toSorted()).toEqual([1, 2, 3])
  })
})
