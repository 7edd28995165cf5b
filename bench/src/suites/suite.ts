// What a benchmark is: it opens its variants, and says what to compare and how to load them.
import type { Variant, Windows } from '../harness.ts'
import type { Comparison, Finding } from '../result.ts'

/** How long and how often to measure. */
export interface BenchSettings {
  readonly rounds: number
  readonly windowMs: number
  readonly connections: number
  readonly seed: number
  /** Length of an open-loop measurement. */
  readonly openLoopMs: number
  /** How long Kafka is frozen where that is measured. */
  readonly frozenMs: number
  /** Rows that are scanned where that is measured. */
  readonly rows: number
}

/** The variants of a benchmark, running. Disposing it ends everything that was started. */
export interface OpenSuite extends AsyncDisposable {
  readonly variants: readonly Variant[]
  /** Processes of the run that belong to no variant: stores. */
  readonly otherPids: () => readonly number[]
  readonly versions: Readonly<Record<string, string>>
  readonly settings: Readonly<Record<string, string | number>>
  /** Measures what needs a time of its own, after the windows. */
  readonly findings?: (windows: Windows) => Promise<readonly Finding[]>
}

export interface Suite {
  readonly name: string
  readonly about: string
  readonly comparisons: readonly Comparison[]
  open(settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite>
}
