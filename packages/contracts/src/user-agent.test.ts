import { describe, expect, it } from 'vitest'
import { browsersInTheWild, robotsInTheWild } from '../test/user-agents.ts'
import { createAgentScanner, scanUserAgent } from './user-agent.ts'

describe('scanUserAgent', () => {
  it.each(browsersInTheWild)('finds %s, %s, %s in %s', (deviceType, os, browser, agent) => {
    expect(scanUserAgent(agent)).toEqual({ deviceType, os, browser, isBot: false })
  })

  it.each(robotsInTheWild)('knows the automated client %s', (agent) => {
    expect(scanUserAgent(agent)).toMatchObject({ deviceType: 'bot', isBot: true })
  })

  it('says nothing of an empty agent', () => {
    expect(scanUserAgent('')).toEqual({ deviceType: '', os: '', browser: '', isBot: false })
  })

  it('reads the beginning of an agent that is too long to be one', () => {
    const agent = `Mozilla/5.0 (Windows NT 10.0) Chrome/138 Safari/537${' '.repeat(300_000)}Googlebot/2.1`
    expect(scanUserAgent(agent)).toEqual({ deviceType: 'desktop', os: 'Windows', browser: 'Chrome', isBot: false })
  })
})

describe('createAgentScanner', () => {
  it('gives the facts of the scan, however often and in whatever order it is asked', () => {
    const scan = createAgentScanner(8)
    const agents = ['', ...browsersInTheWild.map(([, , , agent]) => agent), ...robotsInTheWild]
    for (const agent of [...agents, ...agents.toReversed(), ...agents]) {
      expect(scan(agent)).toEqual(scanUserAgent(agent))
    }
  })

  it('remembers an agent, unless it is longer than real ones are', () => {
    const scan = createAgentScanner(2)
    const long = `Chrome/1 ${'x'.repeat(512)}`
    expect(scan('Chrome/1')).toBe(scan('Chrome/1'))
    expect(scan(long)).not.toBe(scan(long))
    const first = scan('Chrome/2')
    scan('Chrome/3')
    scan('Chrome/4')
    expect(scan('Chrome/2')).not.toBe(first)
  })
})
