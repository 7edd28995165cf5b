import { describe, expect, it } from 'vitest'
import { heldResources, leaked } from './leaks.ts'

describe('leaks', () => {
  it('names what is held more than before, and how often', () => {
    const before = heldResources(['Timeout', 'TCPSocketWrap'])
    const after = heldResources(['TCPSocketWrap', 'TCPSocketWrap', 'TCPSocketWrap', 'ProcessWrap', 'Timeout'])
    expect(leaked(before, after)).toEqual(['ProcessWrap x1', 'TCPSocketWrap x2'])
    expect(leaked(after, before)).toEqual([])
  })

  it('ignores what comes and goes by itself', () => {
    expect(leaked(heldResources([]), heldResources(['FSReqPromise', 'Immediate']))).toEqual([])
  })

  it('sees a timer of this process', () => {
    const before = heldResources()
    const timer = setTimeout(() => {}, 60_000)
    expect(leaked(before, heldResources())).toEqual(['Timeout x1'])
    clearTimeout(timer)
    expect(leaked(before, heldResources())).toEqual([])
  })
})
