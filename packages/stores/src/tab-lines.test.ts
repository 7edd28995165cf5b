import { describe, expect, it } from 'vitest'
import { createLines, joinLines, mostBytesOf, putText } from './tab-lines.ts'

describe('createLines', () => {
  it('puts lines one behind the other, each of as many bytes as it may have', () => {
    const toLine = createLines()
    const lines = ['€€', 'a'].map((text) => toLine(mostBytesOf(text.length), (bytes, at) => putText(bytes, at, text)))
    expect(joinLines(lines).map(String)).toEqual(['€€\na\n'])
  })

  it('throws when more is written than was asked room for, and goes on behind the last line', () => {
    const toLine = createLines()
    const write = (text: string, mostBytes: number) => toLine(mostBytes, (bytes, at) => putText(bytes, at, text))
    const first = write('one', 4)
    expect(() => write('four', 4)).toThrow('a line of 5 bytes where at most 4 were expected')
    // The last bytes of a buffer: what stands beyond would be lost without a word.
    expect(() => createLines()(1024 * 1024, () => 1024 * 1024 + 1)).toThrow('a line of 1048577 bytes')
    expect(joinLines([first, write('two', 4)]).map(String)).toEqual(['one\ntwo\n'])
  })
})
