// `node scripts/cost-card.ts`: cores and archive that a rate of events takes, from the newest published benchmarks. It knows
// nothing that was not measured: what no benchmark has is left out, and said.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** One process of the way of an event, and where its CPU per event was measured. */
export interface Stage {
  readonly stage: string
  readonly suite: string
  readonly variant: string
}

export interface Measured extends Stage {
  /** Median CPU of the process, in microseconds for each event. */
  readonly cpuUsPerEvent: number
  /** Date of the run. */
  readonly date: string
}

/** What takes every event, in batches of 100; single ones cost the gateway more. */
export const stages: readonly Stage[] = [
  { stage: 'gateway, batches of 100', suite: 'g-batch', variant: 'gateway W3' },
  { stage: 'Redis, live state', suite: 'a-naive', variant: 'Redis of the aggregator' },
  { stage: 'processor', suite: 'p-enrich', variant: 'processor' },
  { stage: 'aggregator', suite: 'a-fold', variant: 'aggregator' },
  { stage: 'loader', suite: 'l-load', variant: 'loader' },
  { stage: 'archiver', suite: 'r-parquet', variant: 'archive' },
  { stage: 'recorder and PostgreSQL', suite: 'r-record', variant: 'recorder' }
]

/** Cores are planned to be busy to this share: peaks, and a zone that is lost. */
export const busyShare = 0.5

/** Cores that `cpuUsPerEvent` takes at `eventsPerSecond`, planned at `busyShare`. */
export function coresFor(cpuUsPerEvent: number, eventsPerSecond: number): number {
  return (cpuUsPerEvent * eventsPerSecond) / 1_000_000 / busyShare
}

/** The card as a Markdown table: a line for each stage, a column for each rate. */
export function costCard(measured: readonly Measured[], rates: readonly number[]): string {
  const head = ['Stage', 'CPU us/event', ...rates.map((rate) => `${rate.toLocaleString('en-US')} ev/s`), 'Measured']
  const rows = measured.map(({ stage, suite, date, cpuUsPerEvent }) => [
    stage,
    cpuUsPerEvent.toFixed(1),
    ...rates.map((rate) => cores(coresFor(cpuUsPerEvent, rate))),
    `${suite}, ${date}`
  ])
  const total = measured.reduce((sum, { cpuUsPerEvent }) => sum + cpuUsPerEvent, 0)
  rows.push(['together', total.toFixed(1), ...rates.map((rate) => cores(coresFor(total, rate))), ''])
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    line(head),
    line(head.map((_, at) => (at === 0 || at === head.length - 1 ? '---' : '---:'))),
    ...rows.map(line)
  ].join('\n')
}

function cores(count: number): string {
  return count < 0.1 ? '< 0.1' : count < 10 ? count.toFixed(1) : Math.ceil(count).toLocaleString('en-US')
}

/** The newest published result of a stage; undefined while there is none. */
function newest(folder: string, { stage, suite, variant }: Stage): Measured | undefined {
  const file = readdirSync(folder)
    .filter((name) => name.endsWith(`-${suite}.json`))
    .toSorted()
    .at(-1)
  if (file === undefined) return undefined
  // Files that the bench of this repository wrote.
  const { variants } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
    readonly variants: readonly { readonly name: string; readonly cpuUsPerEvent: { readonly median: number } }[]
  }
  const found = variants.find(({ name }) => name === variant)
  return found && { stage, suite, variant, cpuUsPerEvent: found.cpuUsPerEvent.median, date: file.slice(0, 10) }
}

if (import.meta.main) {
  const folder = join(import.meta.dirname, '../bench/results')
  const found = stages.map((stage) => newest(folder, stage) ?? stage.stage)
  console.log(
    costCard(
      found.filter((each) => typeof each !== 'string'),
      [1_000, 100_000, 1_000_000]
    )
  )
  const missing = found.filter((each) => typeof each === 'string')
  if (missing.length > 0) console.log(`\nNo published benchmark: ${missing.join(', ')}.`)
}
