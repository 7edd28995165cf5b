// The report of a suite for people: one aligned row per run, then whatever is not green in full.
import type { CaseResult } from './fault-case.ts'

const columns = [
  ['case', ({ case: name }) => name],
  ['bug', ({ planted }) => planted ?? '-'],
  ['result', ({ outcome }) => outcome],
  ['acked', (result) => figure(result, 'acked')],
  ['lost', (result) => figure(result, 'lost')],
  ['copies', (result) => figure(result, 'logCopies')],
  ['visible copies', (result) => figure(result, 'visibleCopies')],
  ['letters', (result) => figure(result, 'letters')],
  ['refused', (result) => figure(result, 'refused')],
  ['unknown', (result) => figure(result, 'unknown')],
  ['unchecked', (result) => figure(result, 'unchecked')],
  ['unresolved', (result) => figure(result, 'unresolved')],
  ['503 %', unavailableShare],
  ['peak RSS MiB', ({ verdict }) => whole(verdict?.measures?.peakRssBytes, 2 ** 20)],
  ['recovery ms', ({ verdict }) => whole(verdict?.measures?.recoveryMs, 1)],
  ['seconds', ({ seconds }) => seconds.toFixed(1)]
] as const satisfies readonly (readonly [string, (result: CaseResult) => string])[]

/** Columns of text; the others are numbers and stand at the right. */
const textColumns = 3

function figure({ verdict }: CaseResult, name: keyof NonNullable<CaseResult['verdict']>['figures']): string {
  return verdict === undefined ? '-' : String(verdict.figures[name])
}

/** Share of the attempts that were answered 503. */
function unavailableShare({ verdict }: CaseResult): string {
  if (verdict === undefined || verdict.figures.attempts === 0) return '-'
  return ((100 * verdict.figures.unavailable) / verdict.figures.attempts).toFixed(1)
}

function whole(value: number | undefined, unit: number): string {
  return value === undefined ? '-' : String(Math.round(value / unit))
}

/** The lines of the report. */
export function reportLines(results: readonly CaseResult[]): string[] {
  const rows = [columns.map(([title]) => title), ...results.map((result) => columns.map(([, cell]) => cell(result)))]
  const widths = columns.map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)))
  const table = rows.map((row) =>
    row
      .map((cell, index) => (index < textColumns ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0)))
      .join('  ')
      .trimEnd()
  )
  return [...table, ...results.flatMap(detailLines)]
}

function detailLines(result: CaseResult): string[] {
  const name = result.planted === undefined ? result.case : `${result.case} with ${result.planted}`
  const counters = Object.entries(result.counters).map(([counter, value]) => `${counter} ${value}`)
  const lines = counters.length === 0 ? [] : [`${name}: ${counters.join(', ')}`]
  for (const { invariant, problem, count, examples } of result.verdict?.violations ?? []) {
    lines.push(`${name}: ${invariant}: ${problem}: ${count}, such as ${examples.slice(0, 3).join(', ')}`)
  }
  if (result.outcome === 'no bite') {
    const idle = Object.entries(result.counters).filter(([, value]) => value === 0)
    lines.push(`${name}: the fault did not bite: ${idle.map(([counter]) => counter).join(', ')} stayed at 0`)
  }
  if (result.error !== undefined) lines.push(`${name}: ${result.error}`)
  return lines
}

/**
 * Whether a run held what was asked of it: without a planted bug it is green; with one, and the oracle under
 * validation, it is red because a promise was seen broken (an error of the case itself is no proof).
 */
export function isAsAsked(result: CaseResult, validateOracle: boolean): boolean {
  return result.outcome === (validateOracle && result.planted !== undefined ? 'red' : 'green')
}
