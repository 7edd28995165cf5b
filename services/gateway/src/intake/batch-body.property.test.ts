import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { openEnvelope, splitLines } from './batch-body.ts'

const space = fc.stringMatching(/^[ \n\r\t]{0,3}$/)
/** A JSON text of any value, with spaces where they may be. */
const element = fc.tuple(space, fc.json(), space).map((parts) => parts.join(''))

describe('a batch in JSON', () => {
  it('is cut into the texts of its elements, whatever they are', () => {
    fc.assert(
      fc.property(fc.array(element, { maxLength: 20 }), space, fc.boolean(), (elements, gap, more) => {
        const sentAt = more ? `,${gap}"sentAt":"2026-03-01T00:00:00Z"` : ''
        const body = Buffer.from(`${gap}{${gap}"events"${gap}:${gap}[${gap}${elements.join(',')}]${sentAt}}${gap}`)
        const opened = openEnvelope(body, 1_000)
        const bodies = opened.ok ? opened.bodies.map((each) => each.toString()) : opened
        expect(bodies).toEqual(elements.map((each) => each.replaceAll(/^[ \n\r\t]+|[ \n\r\t]+$/g, '')))
      })
    )
  })

  it('never makes of any bytes more or other elements than the parser does', () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .array(fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', 'events', '"events"', '1', ' '), {
          maxLength: 30
        })
        .map((parts) => parts.join(''))
    )
    fc.assert(
      fc.property(text, (inner) => {
        const body = Buffer.from(`{"events":[${inner}]}`)
        const parsed = parse(body.toString())
        const opened = openEnvelope(body, 1_000)
        if (parsed === undefined || !opened.ok) {
          // What the parser takes is never refused, unless the envelope has other members, or the list twice.
          if (opened.ok || parsed === undefined || Object.keys(parsed).join() !== 'events') return
          if (inner.includes('"events"') && opened.pointer === '/events') return
          throw new Error(`refused: ${body.toString()}`)
        }
        expect(opened.bodies.map((each) => parse(each.toString()))).toEqual(parsed['events'])
      }),
      { numRuns: 2_000 }
    )
  })

  it.each([
    ['an escaped name of the list', '{"\\u0065vents":[1]}', ['1']],
    ['brackets and quotes inside strings', '{"events":["]","}\\"",{"a":"[{"}]}', ['"]"', '"}\\""', '{"a":"[{"}']],
    [
      'the list before and after other members',
      '{"writeKey":"k","events":[{}],"sentAt":"2026-03-01T00:00:00Z"}',
      ['{}']
    ]
  ])('takes %s', (_name, text, bodies) => {
    const opened = openEnvelope(Buffer.from(text), 1_000)
    expect(opened.ok && opened.bodies.map((each) => each.toString())).toEqual(bodies)
  })

  it('does not cut more than it takes, and stops at 50,000 levels without harm', () => {
    expect(openEnvelope(Buffer.from(`{"events":[${'{},'.repeat(50_000)}{}]}`), 1_000)).toMatchObject({
      code: 'batch_too_large'
    })
    const deep = openEnvelope(Buffer.from(`{"events":[${'['.repeat(50_000)}${']'.repeat(50_000)}]}`), 1_000)
    expect(deep.ok && deep.bodies.length).toBe(1)
  })
})

describe('a batch of lines', () => {
  it('is cut at its line ends', () => {
    const line = fc.string({ minLength: 1 }).filter((text) => !/[\r\n]/.test(text))
    fc.assert(
      fc.property(fc.array(line), fc.constantFrom('\n', '\r\n', '\n\n'), fc.boolean(), (lines, end, last) => {
        const opened = splitLines(Buffer.from(lines.join(end) + (last ? end : '')), 1_000)
        expect(opened.ok && opened.bodies.map((each) => each.toString())).toEqual(lines)
      })
    )
  })
})

function parse(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return undefined
  }
}
