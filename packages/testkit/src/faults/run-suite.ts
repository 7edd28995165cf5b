// Runs the cases of a suite one after the other and says how each ended. Nothing here knows what a fault is.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Stack } from '@millrace/local-stack/stack'
import { unlessGivenUp } from '../given-up.ts'
import { createCounters } from './counters.ts'
import type { CaseResult, FaultCase, FaultSuite } from './fault-case.ts'

/** One run of one case, with a planted bug or without. */
export interface PlannedRun {
  readonly faultCase: FaultCase
  readonly planted: string | undefined
}

export interface SuiteChoice {
  /** Only this case. */
  readonly case?: string | undefined
  /** Switches this bug on, in the case that must notice it. */
  readonly planted?: string | undefined
  /** Every bug of the suite, each in its case. */
  readonly validateOracle?: boolean
}

export interface SuiteDeps {
  readonly stack: Stack
  readonly seed: number
  /** Default: the short form of a case that has two. */
  readonly long?: boolean
  readonly folder: string
  readonly clock: Clock
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/** The runs of a choice, in order. Throws PIPE_NOT_FOUND with the names there are for an unknown case or bug. */
export function planSuite(suite: FaultSuite, choice: SuiteChoice): PlannedRun[] {
  const chosen = choice.case === undefined ? suite.cases : [findCase(suite, choice.case)]
  const bugs = choice.planted === undefined ? suite.bugs : [findBug(suite, choice.planted)]
  if (choice.validateOracle !== true && choice.planted === undefined) {
    return chosen.map((faultCase) => ({ faultCase, planted: undefined }))
  }
  return bugs
    .map(({ bug, case: name }) => ({ faultCase: findCase(suite, name), planted: bug }))
    .filter(({ faultCase }) => choice.planted !== undefined || chosen.includes(faultCase))
}

function findCase(suite: FaultSuite, name: string): FaultCase {
  const found = suite.cases.find((each) => each.name === name)
  if (found !== undefined) return found
  const names = suite.cases.map((each) => each.name).join(', ')
  throw new AppError('PIPE_NOT_FOUND', `suite ${suite.name} has no case '${name}'; one of ${names}`)
}

function findBug(suite: FaultSuite, bug: string): FaultSuite['bugs'][number] {
  const found = suite.bugs.find((each) => each.bug === bug)
  if (found !== undefined) return found
  const names = suite.bugs.map((each) => each.bug).join(', ')
  throw new AppError('PIPE_NOT_FOUND', `suite ${suite.name} has no bug '${bug}' to plant; one of ${names}`)
}

/** Runs what was planned; an aborted signal ends the case in hand with its next wait, and starts no other one. */
export async function runSuite(suite: FaultSuite, runs: readonly PlannedRun[], deps: SuiteDeps): Promise<CaseResult[]> {
  const results: CaseResult[] = []
  for (const [index, run] of runs.entries()) {
    if (deps.signal.aborted) break
    const planted = run.planted === undefined ? '' : ` with the bug ${run.planted}`
    deps.say(`${index + 1}/${runs.length} ${run.faultCase.name}${planted}: ${run.faultCase.title}`)
    const result = await runCase(suite, run, {
      ...deps,
      folder: join(deps.folder, `${index + 1}-${run.faultCase.name}`)
    })
    deps.say(`${index + 1}/${runs.length} ${run.faultCase.name}: ${result.outcome} after ${result.seconds} s`)
    results.push(result)
  }
  return results
}

async function runCase(suite: FaultSuite, { faultCase, planted }: PlannedRun, deps: SuiteDeps): Promise<CaseResult> {
  const counters = createCounters(faultCase.counters)
  const startedMs = deps.clock.monotonic()
  const common = (): Pick<CaseResult, 'suite' | 'case' | 'seed' | 'planted' | 'seconds' | 'counters'> => ({
    suite: suite.name,
    case: faultCase.name,
    seed: deps.seed,
    planted,
    seconds: Math.round((deps.clock.monotonic() - startedMs) / 100) / 10,
    counters: counters.values()
  })
  try {
    await mkdir(deps.folder, { recursive: true })
    const { stack, seed, long = false, folder, say, signal } = deps
    const context = { stack, seed, planted, long, folder, counters, say, signal }
    const verdict = await unlessGivenUp(signal, () => faultCase.run(context))
    // What a case makes of waits that were cut short says nothing.
    signal.throwIfAborted()
    const bitten = counters.missing().length === 0
    const outcome = verdict.violations.length > 0 ? 'red' : bitten ? 'green' : 'no bite'
    return { ...common(), outcome, verdict, error: undefined }
  } catch (thrown) {
    return { ...common(), outcome: 'error', verdict: undefined, error: toError(thrown).stack ?? String(thrown) }
  }
}
