import { AppError } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { UsageError, createTerminal, errorLine, exitCodeOf, print, toJson, toTable } from './output.ts'
import { createMemoryTerminal } from './memory-terminal.ts'

describe('toTable', () => {
  it('aligns text left, numbers right, and shows what is missing as a dash', () => {
    const rows = [
      ['events.demo', 4, undefined],
      ['x', 12_345n, 'grow']
    ]
    expect(toTable(['topic', 'partitions', 'note'], rows)).toBe(
      ['topic        partitions  note', 'events.demo           4  -', 'x                12,345  grow'].join('\n')
    )
  })

  it('prints the header alone when there is no row', () => {
    expect(toTable(['a', 'bb'], [])).toBe('a  bb')
  })

  it('makes the header bold only in colour', () => {
    expect(toTable(['a'], [['b']], true)).toBe('\u001b[1ma\u001b[22m\nb')
  })
})

describe('print', () => {
  it('prints JSON with bigints as strings, or the text for people', () => {
    const json = createMemoryTerminal()
    print(json, true, { lag: 5n }, () => 'lag 5')
    const text = createMemoryTerminal()
    print(text, undefined, { lag: 5n }, ({ lag }) => `lag ${lag}`)
    expect([json.printed(), text.printed()]).toEqual(['{\n  "lag": "5"\n}\n', 'lag 5\n'])
    expect(toJson([])).toBe('[]')
  })
})

describe('errorLine', () => {
  it('is one line, also for an error that lists several things', () => {
    const error = new AppError('PIPE_CONFIG_INVALID', '2 setting(s) are wrong:\n  A  is required\n  B  is required')
    expect(errorLine(error)).toBe('millrace: 2 setting(s) are wrong: A  is required B  is required')
  })

  it('says that an error is unexpected when it is none of ours', () => {
    expect(errorLine(new TypeError('x is not a function'))).toBe(
      'millrace: unexpected error: x is not a function (MILLRACE_DEBUG=1 shows where)'
    )
  })

  it('goes with exit code 2 for wrong use and 1 for the rest', () => {
    expect([new UsageError('x'), new AppError('PIPE_STACK', 'x'), 'x'].map(exitCodeOf)).toEqual([2, 1, 1])
  })
})

describe('createTerminal', () => {
  it.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { TERM: 'dumb' }, false]
  ])('on a terminal %s with %o uses colours: %s', (isTTY, env, colour) => {
    const stream = { isTTY, columns: 80, write: () => true }
    expect(createTerminal({ stdout: stream, stderr: stream }, env).colour).toBe(colour)
  })
})
