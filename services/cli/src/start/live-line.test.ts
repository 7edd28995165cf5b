import { describe, expect, it } from 'vitest'
import { createMemoryTerminal } from '../memory-terminal.ts'
import { createLiveLine } from './live-line.ts'

const clear = '\r\u001b[2K'

describe('createLiveLine', () => {
  it('rewrites its line and lets messages scroll above it', () => {
    const terminal = createMemoryTerminal(true)
    const line = createLiveLine(terminal)
    line.message('before')
    line.update('one')
    line.update('two')
    line.message('loader exited')
    line.end()
    expect(terminal.printed()).toBe(`before\n${clear}one${clear}two${clear}loader exited\n${clear}two\n`)
  })

  it('never wraps', () => {
    const terminal = createMemoryTerminal(true)
    createLiveLine(terminal).update('x'.repeat(200))
    expect(terminal.printed()).toBe(clear + 'x'.repeat(79))
  })

  it('prints plain lines without a terminal', () => {
    const terminal = createMemoryTerminal(false)
    const line = createLiveLine(terminal)
    line.update('one')
    line.message('two')
    line.end()
    expect(terminal.printed()).toBe('one\ntwo\n')
  })
})
