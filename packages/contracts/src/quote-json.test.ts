import { describe, expect, it } from 'vitest'
import { quoteJson } from './quote-json.ts'

describe('quoteJson', () => {
  it('writes every character, alone and inside a text, as the serialiser does', () => {
    const differ: number[] = []
    for (let code = 0; code <= 0xffff; code++) {
      const one = String.fromCharCode(code)
      const texts = [one, `a${one}b`, `${one}${'x'.repeat(70)}`]
      if (texts.some((text) => quoteJson(text) !== JSON.stringify(text))) differ.push(code)
    }
    expect(differ).toEqual([])
  })

  it('keeps whole surrogate pairs and escapes halves', () => {
    for (const text of ['', '😀', 'a😀b', '\ud83d', 'x\ude00', '\ude00\ud83d']) {
      expect(quoteJson(text)).toBe(JSON.stringify(text))
    }
  })
})
