// What a run says: per variant its cost and speed, per comparison a median ratio with quartiles, and whether the machine
// was quiet enough for anyone to quote it.
import type { Windows, Window } from './harness.ts'
import type { Environment } from './machine.ts'
import { ratios, summarise } from './statistics.ts'
import type { Summary } from './statistics.ts'

/** More foreign load or stolen time than this share of the machine makes a result unfit to publish. */
const maxDisturbance = 0.1

/** A comparison of two variants, by events per CPU second unless it says so. */
export interface Comparison {
  readonly variant: string
  readonly reference: string
  /** `speed`: events per second on the clock. */
  readonly by?: 'cpu' | 'speed'
  /** What we want to reach, and what must never be missed. */
  readonly goal: number
  readonly floor: number
}

export interface VariantResult {
  readonly name: string
  readonly eventsPerCpuSecond: Summary
  readonly cpuUsPerEvent: Summary
  readonly eventsPerSecond: Summary
  readonly latencyP50Ms: Summary
  readonly latencyP99Ms: Summary
  readonly peakRssMiB: number
  readonly failures: number
  readonly windows: readonly Window[]
}

/** A figure that is no ratio of two variants. */
export interface Finding {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** What we want to stay below, and what must never be exceeded; absent for a figure that is only told. */
  readonly goal?: number
  readonly ceiling?: number
}

export type Verdict = 'goal reached' | 'above the floor' | 'below the floor'

export interface FindingResult extends Finding {
  readonly verdict: Verdict | 'told'
}

export interface ComparisonResult extends Comparison {
  /** Ratio of the two, round by round. */
  readonly ratio: Summary
  readonly verdict: Verdict
}

export interface BenchResult {
  readonly name: string
  readonly published: boolean
  /** Why it may not be quoted; empty when it may. */
  readonly reservations: readonly string[]
  readonly environment: Environment
  readonly versions: Readonly<Record<string, string>>
  readonly settings: Readonly<Record<string, string | number>>
  readonly foreignShare: Summary
  readonly stealShare: Summary
  readonly variants: readonly VariantResult[]
  readonly comparisons: readonly ComparisonResult[]
  readonly findings: readonly FindingResult[]
}

export interface BenchDescription {
  readonly name: string
  readonly environment: Environment
  readonly versions: Readonly<Record<string, string>>
  readonly settings: Readonly<Record<string, string | number>>
  readonly comparisons: readonly Comparison[]
  readonly findings?: readonly Finding[]
  /** Rounds below this are not published. */
  readonly minRounds: number
}

/** Sums up the windows of a run. */
export function toResult(description: BenchDescription, windows: Windows): BenchResult {
  const { comparisons, minRounds, findings = [], ...described } = description
  const all = [...windows.values()].flat()
  const foreignShare = summarise(all.map((window) => window.foreignShare))
  const stealShare = summarise(all.map((window) => window.stealShare))
  const variants = [...windows].map(([name, kept]) => toVariantResult(name, kept))
  const reservations = [
    ...disturbance(
      'foreign load',
      all.map((window) => window.foreignShare)
    ),
    ...disturbance(
      'stolen time',
      all.map((window) => window.stealShare)
    ),
    ...variants.flatMap(({ name, failures }) => (failures > 0 ? [`${name}: ${failures} failed requests`] : [])),
    ...variants.flatMap(({ name, windows: { length } }) =>
      length < minRounds ? [`${name}: ${length} rounds, fewer than ${minRounds}`] : []
    ),
    ...(description.environment.dirty ? ['the working tree had changes'] : [])
  ]
  return {
    ...described,
    published: reservations.length === 0,
    reservations,
    foreignShare,
    stealShare,
    variants,
    comparisons: comparisons.map((comparison) => compare(comparison, windows)),
    findings: findings.map((finding) => ({ ...finding, verdict: judge(finding) }))
  }
}

function toVariantResult(name: string, windows: readonly Window[]): VariantResult {
  const each = (value: (window: Window) => number): Summary => summarise(windows.map(value))
  return {
    name,
    eventsPerCpuSecond: each(eventsPerCpuSecond),
    cpuUsPerEvent: each(({ cpuMs, events }) => (cpuMs * 1_000) / events),
    eventsPerSecond: each(eventsPerSecond),
    latencyP50Ms: each(({ latencyMs }) => latencyMs.p50),
    latencyP99Ms: each(({ latencyMs }) => latencyMs.p99),
    peakRssMiB: Math.round(Math.max(...windows.map(({ rssBytes }) => rssBytes)) / 1024 ** 2),
    failures: windows.reduce((sum, { failures }) => sum + failures, 0),
    windows
  }
}

function compare(comparison: Comparison, windows: Windows): ComparisonResult {
  const value = comparison.by === 'speed' ? eventsPerSecond : eventsPerCpuSecond
  const of = (name: string): readonly number[] => (windows.get(name) ?? []).map(value)
  const ratio = summarise(ratios(of(comparison.variant), of(comparison.reference)))
  const { goal, floor } = comparison
  const verdict = ratio.median >= goal ? 'goal reached' : ratio.median >= floor ? 'above the floor' : 'below the floor'
  return { ...comparison, ratio, verdict }
}

function eventsPerCpuSecond({ events, cpuMs }: Window): number {
  return (events * 1_000) / cpuMs
}

function eventsPerSecond({ events, elapsedMs }: Window): number {
  return (events * 1_000) / elapsedMs
}

function judge({ value, goal, ceiling }: Finding): FindingResult['verdict'] {
  if (goal === undefined || ceiling === undefined) return 'told'
  // Not a number is no success.
  return value <= goal ? 'goal reached' : value <= ceiling ? 'above the floor' : 'below the floor'
}

function disturbance(what: string, shares: readonly number[]): readonly string[] {
  const mean = shares.reduce((sum, share) => sum + share, 0) / Math.max(1, shares.length)
  if (mean <= maxDisturbance) return []
  return [`${what} took ${(mean * 100).toFixed(0)} % of the machine, more than ${maxDisturbance * 100} %`]
}
