import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toJsonAnswer } from './json-answer.ts'
import { toAnswer } from './run-query.ts'

interface Shape {
  readonly meta: readonly { readonly name: string; readonly type: string }[]
  readonly data: readonly (readonly unknown[])[]
  readonly totals?: readonly unknown[]
}

/** As the engine lays it out. */
function compact({ meta, data, totals }: Shape): Buffer {
  const text = (value: unknown): string => JSON.stringify(value).replaceAll('/', '\\/')
  const columns = meta.map(
    ({ name, type }) => `\t\t{\n\t\t\t"name": ${text(name)},\n\t\t\t"type": ${text(type)}\n\t\t}`
  )
  const rows = data.map((row) => `\t\t${text(row)}`)
  const more = totals === undefined ? '' : `\t"totals": ${text(totals)},\n\n`
  return Buffer.from(
    `{\n\t"meta":\n\t[\n${columns.join(',\n')}\n\t],\n\n\t"data":\n\t[\n${rows.join(',\n')}\n\t],\n\n${more}\t"rows": ${data.length},\n\n` +
      '\t"statistics":\n\t{\n\t\t"elapsed": 0.001,\n\t\t"rows_read": 3,\n\t\t"bytes_read": 30\n\t}\n}\n'
  )
}

const value = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.integer(),
  fc.constant(null),
  fc.array(fc.string()),
  fc.boolean()
)
const shape = fc.integer({ min: 1, max: 4 }).chain((width) =>
  fc.record({
    meta: fc.array(fc.record({ name: fc.string({ unit: 'binary' }), type: fc.string() }), {
      minLength: width,
      maxLength: width
    }),
    data: fc.array(fc.array(value, { minLength: width, maxLength: width }), { maxLength: 5 })
  })
)

describe('toJsonAnswer', () => {
  it('says what reading and writing the whole answer says', () => {
    fc.assert(
      fc.property(shape, (given) => {
        const expected = toAnswer(compact(given))
        const { body, stats } = toJsonAnswer(compact(given))
        expect(JSON.parse(body.toString())).toEqual(expected)
        expect(stats).toEqual(expected.stats)
      }),
      { numRuns: 500 }
    )
  })

  it('is not misled by texts that look like the layout', () => {
    const text = '\n\t"data":\n\t[\n\t]\n\t"rows": 9'
    const given = { meta: [{ name: text, type: text }], data: [[text], ['\n\t]']], totals: [text] }
    expect(JSON.parse(toJsonAnswer(compact(given)).body.toString())).toMatchObject({
      columns: [{ name: text, type: text }],
      rows: [[text], ['\n\t]']],
      rowCount: 2
    })
  })

  it('leaves the rows where they are, and makes do with another layout', () => {
    const bytes = compact({ meta: [{ name: 'n', type: 'UInt8' }], data: [[1], [2]] })
    const { body } = toJsonAnswer(bytes)
    expect(body.buffer).toBe(bytes.buffer)
    expect(body.toString()).toBe(
      '{"columns":[{"name":"n","type":"UInt8"}],"rows":[[1],\n\t\t[2]],"rowCount":2,"stats":{"elapsedMs":1,"readRows":3,"readBytes":30}}'
    )
    const plain = Buffer.from(JSON.stringify({ meta: [{ name: 'n', type: 'UInt8' }], data: [[1]], rows: 1 }))
    expect(JSON.parse(toJsonAnswer(plain).body.toString())).toMatchObject({ rows: [[1]], rowCount: 1 })
  })
})
