import { describe, expect, it } from 'vitest'
import { closingLine, countReport, parsePlan } from './test-plan.ts'

describe('parsePlan', () => {
  it('runs every part without arguments, and hands flags to each', () => {
    expect(parsePlan([])).toEqual({ parts: ['unit', 'integration', 'e2e'], vitestArgs: [] })
    expect(parsePlan(['--', '-t', 'name'])).toEqual({
      parts: ['unit', 'integration', 'e2e'],
      vitestArgs: ['-t', 'name']
    })
  })

  it('runs one part with a filter, with or without the dashes that npm takes away', () => {
    const plan = { parts: ['e2e'], vitestArgs: ['kill', '--bail', '1'] }
    expect(parsePlan(['e2e', 'kill', '--bail', '1'])).toEqual(plan)
    expect(parsePlan(['e2e', '--', 'kill', '--bail', '1'])).toEqual(plan)
  })

  it('runs the browser tests only when asked', () => {
    expect(parsePlan(['browser'])).toEqual({ parts: ['browser'], vitestArgs: [] })
  })

  it('refuses an unknown part', () => {
    expect(() => parsePlan(['untit'])).toThrow("unknown part 'untit'; one of unit, integration, e2e, browser")
  })
})

describe('countReport', () => {
  const file = (status: string, ...tests: string[]) => ({
    status,
    assertionResults: tests.map((each) => ({ status: each }))
  })
  const report = (...testResults: unknown[]): string => JSON.stringify({ testResults })

  it('adds the tests of all files', () => {
    expect(
      countReport(report(file('passed', 'passed', 'passed', 'skipped'), file('failed', 'failed', 'passed')), 1)
    ).toEqual({ passed: 3, failed: 1 })
  })

  it('counts a file that could not be loaded as a failure', () => {
    expect(countReport(report(file('passed', 'passed'), file('failed')), 1)).toEqual({ passed: 1, failed: 1 })
  })

  it('never calls a failed run green', () => {
    expect(countReport(report(file('passed', 'passed')), 1)).toEqual({ passed: 1, failed: 1 })
  })

  it('counts a process that died beside the tests that failed', () => {
    const died = file('failed', 'failed', 'passed', 'pending', 'pending')
    expect(countReport(report(died), 1)).toEqual({ passed: 1, failed: 2 })
    const before = file('failed', 'pending')
    expect(countReport(report(before, file('failed', 'failed')), 1)).toEqual({ passed: 0, failed: 2 })
  })

  it('knows no numbers without a whole report', () => {
    const whole = report(file('passed', 'passed'))
    for (const left of [undefined, '', whole.slice(0, -1), 'null', '{}']) expect(countReport(left, 0)).toBeUndefined()
  })

  it('is green when everything passed', () => {
    expect(countReport(report(file('passed', 'passed')), 0)).toEqual({ passed: 1, failed: 0 })
  })
})

describe('closingLine', () => {
  it('is the line that continuous integration reads', () => {
    expect(closingLine({ passed: 12, failed: 0 })).toBe('12 passed, 0 failed')
  })
})
