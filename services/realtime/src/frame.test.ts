import { describe, expect, it } from 'vitest'
import { textFrame } from './frame.ts'

describe('textFrame', () => {
  // RFC 6455 5.2: FIN and opcode 1, then the length in 7, 16 or 64 bits, no mask.
  it.each([
    [0, [0x81, 0]],
    [125, [0x81, 125]],
    [126, [0x81, 126, 0, 126]],
    [65_535, [0x81, 126, 0xff, 0xff]],
    [65_536, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]]
  ])('of %i bytes has its head and its text', (length, head) => {
    const frame = textFrame('x'.repeat(length))
    expect([...frame.subarray(0, head.length)]).toEqual(head)
    expect(frame.subarray(head.length).toString()).toBe('x'.repeat(length))
  })

  it('counts bytes, not characters', () => {
    expect([...textFrame('é✓')]).toEqual([0x81, 5, 0xc3, 0xa9, 0xe2, 0x9c, 0x93])
  })
})
