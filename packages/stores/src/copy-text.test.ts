import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { copyLine } from './copy-text.ts'

describe('copyLine', () => {
  it('separates values by tabs and says NULL as \\N', () => {
    expect(copyLine(['a', null, 7, 12n, ''])).toBe('a\t\\N\t7\t12\t')
  })

  it('escapes what the format means something by, a text of \\N included', () => {
    expect(copyLine(['a\tb\nc\rd\\e', '\\N'])).toBe('a\\tb\\nc\\rd\\\\e\t\\\\N')
  })

  it('stores a replacement character where PostgreSQL cannot store U+0000', () => {
    expect(copyLine(['a\0b'])).toBe('a\uFFFDb')
  })

  it('never breaks a row, whatever the texts are', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 5 }), (texts) => {
        const line = copyLine(texts)
        expect(line.split('\t')).toHaveLength(texts.length)
        expect(line).not.toMatch(/[\n\r\0]/)
      })
    )
  })
})
