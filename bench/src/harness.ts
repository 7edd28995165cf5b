// Runs variants in interleaved windows: each round measures every variant once, in random order, so that a machine whose
// mood changes changes it for all of them. The first round is thrown away.
import type { MachineTimes, ProcessTimes } from './proc.ts'
import { treeCpuMs, treeOf } from './proc.ts'
import { shuffled } from './statistics.ts'

/** What a load did to a variant in one window. */
export interface LoadResult {
  /** Events that were answered as they should be. */
  readonly events: number
  /** Answers that were not, and failed connections. */
  readonly failures: number
  /** Latency percentiles in milliseconds, closed loop: only comparable within a run. */
  readonly latencyMs: { readonly p50: number; readonly p99: number }
  /** Time that counts; the whole window when absent. */
  readonly elapsedMs?: number
}

/** One thing that is measured, running already. */
export interface Variant {
  readonly name: string
  /** Roots of the process trees whose CPU counts; generator and stores are never among them. */
  readonly pids: () => readonly number[]
  /** Loads the variant for about `ms`. */
  readonly drive: (ms: number) => Promise<LoadResult>
}

/** One window of one variant. */
export interface Window extends LoadResult {
  readonly elapsedMs: number
  /** CPU of the system under test. */
  readonly cpuMs: number
  readonly rssBytes: number
  /** Share of the machine used by processes that have nothing to do with the run (0 to 1). */
  readonly foreignShare: number
  readonly stealShare: number
}

/** The windows of each variant by name, one per kept round, in the order of the rounds. */
export type Windows = ReadonlyMap<string, readonly Window[]>

/** A reading of the machine at one moment. */
export interface Sample {
  readonly atMs: number
  readonly machine: MachineTimes
  readonly processes: ReadonlyMap<number, ProcessTimes>
}

export interface HarnessOptions {
  /** Rounds that count; one more is run and thrown away. */
  readonly rounds: number
  readonly windowMs: number
  /** Load before the first round, for each variant. */
  readonly warmUpMs: number
  readonly random: () => number
  readonly sample: () => Sample
  /** Roots of all process trees of the run: harness, variants, stores. What else runs is foreign. */
  readonly ownPids: () => readonly number[]
  readonly onWindow?: (round: number, variant: string, window: Window) => void
}

/** Measures all variants; see the method at the top. */
export async function runInterleaved(variants: readonly Variant[], options: HarnessOptions): Promise<Windows> {
  const windows = new Map<string, Window[]>(variants.map(({ name }) => [name, []]))
  for (const variant of variants) await variant.drive(options.warmUpMs)
  for (let round = 0; round <= options.rounds; round++) {
    for (const variant of shuffled(variants, options.random)) {
      const window = await measure(variant, options)
      if (round > 0) windows.get(variant.name)?.push(window)
      options.onWindow?.(round, variant.name, window)
    }
  }
  return windows
}

async function measure(variant: Variant, options: HarnessOptions): Promise<Window> {
  const before = options.sample()
  const load = await variant.drive(options.windowMs)
  const after = options.sample()
  const used = usage(before, after, variant.pids(), options.ownPids())
  return { ...load, ...used, elapsedMs: load.elapsedMs ?? used.elapsedMs }
}

/** What was used between two samples by the trees of `pids`, and by what is in no tree of `ownPids`. */
export function usage(
  before: Sample,
  after: Sample,
  pids: readonly number[],
  ownPids: readonly number[]
): Omit<Window, Exclude<keyof LoadResult, 'elapsedMs'>> {
  const spent = (roots: readonly number[]): number =>
    treeCpuMs(roots, after.processes) - treeCpuMs(roots, before.processes)
  const total = Math.max(1, after.machine.totalMs - before.machine.totalMs)
  const busy = after.machine.busyMs - before.machine.busyMs
  return {
    elapsedMs: after.atMs - before.atMs,
    cpuMs: spent(pids),
    rssBytes: treeOf(pids, after.processes).reduce((sum, { rssBytes }) => sum + rssBytes, 0),
    // The kernel accounts processes and CPUs at different moments: a share may come out a hair below zero.
    foreignShare: Math.max(0, (busy - spent(ownPids)) / total),
    stealShare: (after.machine.stealMs - before.machine.stealMs) / total
  }
}
