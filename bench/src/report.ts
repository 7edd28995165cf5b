// A result for people: an aligned table for the terminal and a document beside the JSON file.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchResult, ComparisonResult, FindingResult, VariantResult } from './result.ts'

const columns: readonly (readonly [title: string, cell: (variant: VariantResult) => string])[] = [
  ['CPU us/event', ({ cpuUsPerEvent }) => cpuUsPerEvent.median.toFixed(1)],
  ['quartiles', ({ cpuUsPerEvent }) => `${cpuUsPerEvent.q1.toFixed(1)}-${cpuUsPerEvent.q3.toFixed(1)}`],
  ['events/CPU-s', ({ eventsPerCpuSecond }) => eventsPerCpuSecond.median.toFixed(0)],
  ['events/s', ({ eventsPerSecond }) => eventsPerSecond.median.toFixed(0)],
  ['p50 ms', ({ latencyP50Ms }) => latencyP50Ms.median.toFixed(1)],
  ['p99 ms', ({ latencyP99Ms }) => latencyP99Ms.median.toFixed(1)],
  ['RSS MiB', ({ peakRssMiB }) => String(peakRssMiB)]
]

/** The result as text for a terminal. */
export function toTable(result: BenchResult): string {
  const rows = [
    ['variant', ...columns.map(([title]) => title)],
    ...result.variants.map((variant) => [variant.name, ...columns.map(([, cell]) => cell(variant))])
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(Math.max(10, widths[column] ?? 0)) : cell.padStart(widths[column] ?? 0)
      )
      .join('  ')
  )
  return [...lines, '', ...toSentences(result), toVerdict(result)].join('\n')
}

/** The result as Markdown. */
export function toMarkdown(result: BenchResult): string {
  const { environment, settings, versions, foreignShare, stealShare } = result
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const facts = (values: Readonly<Record<string, string | number>>): string =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
  return [
    `# ${result.name}, ${environment.date.slice(0, 10)}`,
    '',
    ...(result.published ? [] : [`**Not published**: ${result.reservations.join('; ')}.`, '']),
    ...toSentences(result).flatMap((sentence) => [sentence, '']),
    row(['variant', ...columns.map(([title]) => title)]),
    row(['---', ...columns.map(() => '---:')]),
    ...result.variants.map((variant) => row([variant.name, ...columns.map(([, cell]) => cell(variant))])),
    '',
    'Medians over interleaved windows. CPU is that of the process tree under test; load generator, broker and stores ' +
      'are not in it. Latency is closed loop and only comparable within this run.',
    '',
    `- Settings: ${facts(settings)}`,
    `- Machine: ${environment.cpus} x ${environment.cpu}, ${environment.memoryGiB} GiB, Linux ${environment.kernel}`,
    `- Versions: node ${environment.node}, ${facts(versions)}, commit ${environment.commit}`,
    `- Load before: ${environment.loadBefore.join(' ')}; foreign load ${percent(foreignShare.median)}, ` +
      `stolen ${percent(stealShare.median)} (medians)`,
    ''
  ].join('\n')
}

/** Writes the JSON and the document into `folder`; their paths. */
export function writeResult(result: BenchResult, folder: string): { readonly json: string; readonly markdown: string } {
  mkdirSync(folder, { recursive: true })
  const base = join(folder, `${result.environment.date.slice(0, 10)}-${result.name}`)
  const paths = { json: `${base}.json`, markdown: `${base}.md` }
  writeFileSync(paths.json, `${JSON.stringify(result, undefined, 2)}\n`)
  writeFileSync(paths.markdown, toMarkdown(result))
  return paths
}

/** Every comparison and finding of a result in a line of its own, with goal and floor. */
export function toSentences({ comparisons, findings }: BenchResult): readonly string[] {
  return [...comparisons.map(toSentence), ...findings.map(toFindingSentence)]
}

function toSentence({ variant, reference, by, ratio, goal, floor, verdict }: ComparisonResult): string {
  return (
    `${variant} / ${reference}, events per ${by === 'speed' ? 'second' : 'CPU second'}: ${ratio.median.toFixed(2)} ` +
    `(quartiles ${ratio.q1.toFixed(2)}-${ratio.q3.toFixed(2)}), goal ${goal}, floor ${floor}: ${verdict}`
  )
}

function toFindingSentence({ name, value, unit, goal, ceiling, verdict }: FindingResult): string {
  const figure = `${name}: ${value.toFixed(value < 10 ? 2 : 0)} ${unit}`
  return verdict === 'told' ? figure : `${figure}, goal at most ${goal}, never above ${ceiling}: ${verdict}`
}

function toVerdict({ published, reservations }: BenchResult): string {
  return published ? 'published: yes' : `published: no, ${reservations.join('; ')}`
}
