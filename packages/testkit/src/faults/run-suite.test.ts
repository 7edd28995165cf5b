import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createManualClock } from '@millrace/kernel'
import type { Stack } from '@millrace/local-stack/stack'
import { describe, expect, it } from 'vitest'
import { eventually } from '../eventually.ts'
import type { CaseContext, CaseResult, FaultCase, FaultSuite } from './fault-case.ts'
import { judge } from './oracle.ts'
import type { Verdict } from './oracle.ts'
import { isAsAsked, reportLines } from './report.ts'
import { planSuite, runSuite } from './run-suite.ts'

const green: Verdict = judge({ ledger: [], log: [], letters: [], sinks: [] })
const red: Verdict = {
  ...green,
  violations: [{ invariant: 'INV-1', problem: 'acknowledged, not in the log', count: 2, examples: ['a', 'b'] }]
}
const faultCase = (name: string, run: (context: CaseContext) => Verdict): FaultCase => ({
  name,
  title: `${name} is hurt`,
  counters: ['killed'],
  run: async (context) => run(context)
})
const suite: FaultSuite = {
  name: 'sample',
  cases: [
    faultCase('sound', ({ counters, planted }) => {
      counters.count('killed')
      return planted === 'forgets' ? red : green
    }),
    faultCase('toothless', () => green),
    faultCase('broken', () => {
      throw new Error('no stack')
    })
  ],
  bugs: [
    { bug: 'forgets', case: 'sound' },
    { bug: 'unseen', case: 'toothless' }
  ]
}

async function run(
  choice: Parameters<typeof planSuite>[1],
  cases: FaultSuite = suite,
  stop = new AbortController()
): Promise<CaseResult[]> {
  return await runSuite(cases, planSuite(cases, choice), {
    // No case of this suite touches the stack.
    stack: {} as Stack,
    seed: 1,
    folder: mkdtempSync(join(tmpdir(), 'suite-')),
    clock: createManualClock(),
    say: () => {},
    signal: stop.signal
  })
}

describe('planSuite', () => {
  const names = (choice: Parameters<typeof planSuite>[1]): string[] =>
    planSuite(suite, choice).map(({ faultCase: { name }, planted }) => `${name} ${planted ?? ''}`.trim())

  it('runs all cases, one case, one bug in its case, or every bug', () => {
    expect(names({})).toEqual(['sound', 'toothless', 'broken'])
    expect(names({ case: 'broken' })).toEqual(['broken'])
    expect(names({ planted: 'forgets' })).toEqual(['sound forgets'])
    expect(names({ validateOracle: true })).toEqual(['sound forgets', 'toothless unseen'])
    expect(names({ validateOracle: true, case: 'toothless' })).toEqual(['toothless unseen'])
  })

  it('names what there is for an unknown case or bug', () => {
    expect(() => planSuite(suite, { case: 'x' })).toThrow("no case 'x'; one of sound, toothless, broken")
    expect(() => planSuite(suite, { planted: 'x' })).toThrow("no bug 'x' to plant; one of forgets, unseen")
  })
})

describe('runSuite', () => {
  it('tells green, a fault that did not bite, and an error of the case apart', async () => {
    const results = await run({})
    expect(results.map(({ outcome }) => outcome)).toEqual(['green', 'no bite', 'error'])
    expect(results.map((result) => isAsAsked(result, false))).toEqual([true, false, false])
    expect(results[2]?.error).toContain('no stack')
  })

  it('ends the waits of a case that is given up, lets it clean up, and starts no other', async () => {
    const stop = new AbortController()
    let cleaned = false
    const waiting: FaultCase = {
      ...faultCase('waits', () => green),
      async run() {
        await using stack = new AsyncDisposableStack()
        stack.defer(() => void (cleaned = true))
        stop.abort(new Error('ended by SIGTERM'))
        await eventually('what never comes', () => false, { timeoutMs: 3_600_000 })
        return green
      }
    }
    const results = await run({}, { name: 'sample', cases: [waiting, faultCase('next', () => green)], bugs: [] }, stop)
    expect(results.map(({ case: name, outcome }) => `${name} ${outcome}`)).toEqual(['waits error'])
    expect(results[0]?.error).toContain('ended by SIGTERM')
    expect(cleaned).toBe(true)
  })

  it('accepts only a red run as proof of a planted bug', async () => {
    const results = await run({ validateOracle: true })
    expect(results.map(({ outcome }) => outcome)).toEqual(['red', 'no bite'])
    expect(results.map((result) => isAsAsked(result, true))).toEqual([true, false])
    expect(results.map((result) => isAsAsked(result, false))).toEqual([false, false])
  })
})

describe('reportLines', () => {
  it('aligns a row per run and tells in full what is not green', async () => {
    const lines = reportLines([...(await run({ planted: 'forgets' })), ...(await run({ case: 'toothless' }))])
    expect(lines).toEqual([
      'case       bug      result   acked  lost  copies  visible copies  letters  refused  unknown  unchecked  unresolved  503 %  peak RSS MiB  recovery ms  seconds',
      'sound      forgets  red          0     0       0               0        0        0        0          0           0      -             -            -      0.0',
      'toothless  -        no bite      0     0       0               0        0        0        0          0           0      -             -            -      0.0',
      'sound with forgets: killed 1',
      'sound with forgets: INV-1: acknowledged, not in the log: 2, such as a, b',
      'toothless: killed 0',
      'toothless: the fault did not bite: killed stayed at 0'
    ])
  })
})
