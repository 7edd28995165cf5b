// `millrace metrics get`: the numbers, over time or by the values of their dimensions.
import { builtInMetrics } from '@millrace/aggregation/metrics'
import { createWindowReader } from '@millrace/aggregation/window-reader'
import { liveStateFields } from '@millrace/config'
import { readDays } from '@millrace/operations/daily-metrics'
import { listDefinitions } from '@millrace/operations/metric-definitions'
import { usualGranularity, windowLengths } from '@millrace/serving/metric-answer'
import type { AnswerGranularity, MetricAnswer } from '@millrace/serving/metric-answer'
import { readDimensions } from '@millrace/serving/read-dimensions'
import type { DimensionsAnswer } from '@millrace/serving/read-dimensions'
import { readMetric } from '@millrace/serving/read-metric'
import type { MetricReaderDeps } from '@millrace/serving/read-metric'
import { Option } from 'commander'
import type { Command } from 'commander'
import { openDatabase, openLiveState, openWarehouse } from '../connections.ts'
import { settings } from '../context.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { UsageError, print, toTable } from '../output.ts'
import { timeOf } from '../time-option.ts'
import { addCommand, several } from './command.ts'

interface GetOptions extends CommonOptions {
  readonly project: string
  readonly from: string
  readonly to?: string
  readonly granularity?: AnswerGranularity
  readonly dimension: readonly string[]
  readonly each?: boolean
  readonly top: string
}

/** Adds `metrics get`. */
export function addMetricsGet(group: Command, context: CliContext): void {
  const { terminal, clock } = context
  addCommand(group, {
    usage: 'get <name>',
    description: 'the values of a metric over time, from the live state and the warehouse',
    examples: [
      'npx millrace metrics get events --from 30m --granularity 1m',
      'npx millrace metrics get revenue --from 2026-01-31 --to 2026-02-07 --granularity 1d --project shop',
      'npx millrace metrics get page_views --from 24h --granularity 1h --dimension /checkout --json',
      'npx millrace metrics get page_views --from 24h --each --top 10',
      'npx millrace metrics get daily_active_users --from 7d'
    ]
  })
    .option('--project <projectId>', 'the project', 'demo')
    .requiredOption('--from <time>', 'a time such as 2026-01-31T10:00:00Z, or 30m, 2h, 7d ago')
    .option('--to <time>', 'likewise; default now')
    .addOption(
      new Option('--granularity <g>', 'length of a window; default 1h, of metrics of days 1d').choices(
        Object.keys(windowLengths)
      )
    )
    .addOption(
      new Option('--dimension <text>', 'one value; repeated for a metric with two dimensions')
        .argParser(several)
        .default([])
        .conflicts('each')
    )
    .option('--each', 'every value of its dimensions by itself, the most frequent first')
    .option('--top <n>', 'values that --each shows at most, 1 to 200', '20')
    .action(async (name: string, options: GetOptions) => {
      const { json, dataDir, project, granularity = usualGranularity(name), dimension, each = false } = options
      const nowMs = clock.now()
      const fromMs = timeOf('--from', options.from, nowMs)
      const toMs = options.to === undefined ? nowMs : timeOf('--to', options.to, nowMs)
      // The window in which the span begins is meant, too.
      const firstMs = fromMs - (fromMs % windowLengths[granularity])
      const question = { project, metric: name, granularity, fromMs: firstMs, toMs }
      const top = topOf(options.top)
      await using stack = new AsyncDisposableStack()
      const reader = await openReader(context, dataDir, stack)
      if (each) {
        const answer = await readDimensions(reader, question, top)
        const { dimensions, total, values } = answer
        const shown = { dimensions, total: toShown(total), values: values.map(toShown) }
        return print(terminal, json, shown, () => renderValues(answer, terminal.colour))
      }
      const answer = await readMetric(reader, { ...question, ...(dimension.length === 0 ? {} : { dimension }) })
      print(terminal, json, toShown(answer), () => renderAnswer(answer, terminal.colour))
    })
}

async function openReader(
  context: CliContext,
  dataDir: string,
  stack: AsyncDisposableStack
): Promise<MetricReaderDeps> {
  const { CONVERSION_TYPES: conversionTypes, LATENESS_MS: latenessMs } = settings(context, dataDir, liveStateFields)
  const postgres = await openDatabase(context, dataDir, stack)
  return {
    windows: createWindowReader(await openLiveState(context, dataDir, stack)),
    clickhouse: await openWarehouse(context, dataDir, stack),
    daysOf: (wanted) => readDays(postgres, wanted),
    definitionsOf: async (projectId) => [
      ...builtInMetrics(conversionTypes),
      ...(await listDefinitions(postgres, projectId)).map(({ definition }) => definition)
    ],
    conversionTypes,
    clock: context.clock,
    latenessMs
  }
}

function topOf(text: string): number {
  const top = Number(text)
  if (!Number.isInteger(top) || top < 1 || top > 200) throw new UsageError(`--top is 1 to 200, not '${text}'`)
  return top
}

function toShown({ data, ...answer }: MetricAnswer) {
  return { ...answer, data: data.map(({ timestampMs, ...point }) => ({ timestamp: iso(timestampMs), ...point })) }
}

function renderAnswer({ data, source }: MetricAnswer, colour: boolean): string {
  const rows = data.map(({ timestampMs, value, count, provisional, complete }) => [
    iso(timestampMs),
    value === null ? undefined : Math.round(value * 1e6) / 1e6,
    count ?? undefined,
    value === null && !complete ? 'unknown' : provisional ? 'provisional' : 'final'
  ])
  return `${toTable(['window', 'value', 'events', 'state'], rows, colour)}\nsource: ${source}`
}

/** One line for each value: over all windows where they add up, else the least or the greatest one. */
function renderValues({ kind, dimensions, total, values }: DimensionsAnswer, colour: boolean): string {
  const rows = [total, ...values].map(({ dimension, data }) => {
    const value = overAll(
      kind,
      data.flatMap((point) => point.value ?? [])
    )
    return [
      ...(dimension ?? ['(all)', ...dimensions.slice(1).map(() => '')]),
      value === undefined ? undefined : Math.round(value * 1e6) / 1e6,
      sum(data.map(({ count }) => count ?? 0)),
      data.some(({ value: each, complete }) => each === null && !complete) ? 'partly unknown' : 'known'
    ]
  })
  return `${toTable([...dimensions, 'value', 'events', 'state'], rows, colour)}\nsource: ${total.source}`
}

/** Distinct members of several windows do not add up. */
function overAll(kind: DimensionsAnswer['kind'], values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined
  if (kind === 'count' || kind === 'sum') return sum(values)
  if (kind === 'min') return Math.min(...values)
  if (kind === 'max') return Math.max(...values)
  return values.length === 1 ? values[0] : undefined
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0)
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString()
}
