// What a fault suite consists of. A case brings load, a fault and a check; the runner gives it a stack and judges. A new
// case: copy ground/workers-killed.ts, declare a counter for everything that must have happened, add it to a suite, and
// add to the suite's `bugs` one that it must catch. A new suite: one file like ground/suite.ts, and its name in
// scripts/test-faults.ts.
import type { Stack } from '@millrace/local-stack/stack'
import type { Counters } from './counters.ts'
import type { Verdict } from './oracle.ts'

/** What a case runs in. */
export interface CaseContext {
  readonly stack: Stack
  readonly seed: number
  /** The bug that the services have switched on, if the run validates the oracle. */
  readonly planted: string | undefined
  /** An empty folder of this case: ledger, logs. */
  readonly folder: string
  readonly counters: Counters
  /** A case that is about time takes the time that it is about, where it has a short form by default. */
  readonly long: boolean
  /** Progress, one line each. */
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

export interface FaultCase {
  readonly name: string
  /** One line: what is hurt, and under what. */
  readonly title: string
  /** Sometimes-counters: each must be above zero, or the fault did not bite and the case fails. */
  readonly counters: readonly string[]
  run(context: CaseContext): Promise<Verdict>
}

export interface FaultSuite {
  readonly name: string
  readonly cases: readonly FaultCase[]
  /** Bugs that can be planted, each with the case that must turn red. */
  readonly bugs: readonly { readonly bug: string; readonly case: string }[]
}

/** `green`; `red`: a promise is broken; `no bite`: a counter stayed at zero; `error`: the case itself failed. */
export type CaseOutcome = 'green' | 'red' | 'no bite' | 'error'

/** How one run of a case ended. */
export interface CaseResult {
  readonly suite: string
  readonly case: string
  readonly seed: number
  readonly planted: string | undefined
  readonly outcome: CaseOutcome
  readonly seconds: number
  readonly counters: Readonly<Record<string, number>>
  readonly verdict: Verdict | undefined
  /** Why the outcome is `error`. */
  readonly error: string | undefined
}
