// `millrace metrics`: what is counted, and the numbers.
import { readFile } from 'node:fs/promises'
import { sessionMetrics } from '@millrace/aggregation/metric-messages'
import { builtInMetrics, derivedMetrics } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import { liveStateFields } from '@millrace/config'
import { parseSchemaText } from '@millrace/contracts'
import { parseMeaning, toField, writeMeaning } from '@millrace/operations/metric-definition-rules'
import { defineMetric, listDefinitions } from '@millrace/operations/metric-definitions'
import type { DefinedMetric } from '@millrace/operations/metric-definitions'
import type { Command } from 'commander'
import { openDatabase } from '../connections.ts'
import { settings } from '../context.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { actorOf } from '../identity.ts'
import { UsageError, print, toTable } from '../output.ts'
import { timeOf } from '../time-option.ts'
import { addCommand, addGroup, several } from './command.ts'
import { addMetricsGet } from './metrics-get.ts'

type ProjectOption = CommonOptions & { readonly project: string }

interface DefineOptions extends ProjectOption {
  readonly file?: string
  readonly measure?: string
  readonly type: readonly string[]
  readonly where: readonly string[]
  readonly by: readonly string[]
  readonly cap?: string
  readonly granularity?: string
  readonly effectiveFrom?: string
}

const projectOption = ['--project <projectId>', 'the project', 'demo'] as const

/** Adds `metrics list|define|get`. */
export function addMetricsCommands(program: Command, context: CliContext): void {
  const group = addGroup(program, 'metrics', 'what is counted live, and the numbers')
  addList(group, context)
  addDefine(group, context)
  addMetricsGet(group, context)
}

function addList(group: Command, context: CliContext): void {
  const { terminal } = context
  addCommand(group, {
    usage: 'list',
    description: 'the metrics of a project: those that every project has, and its own by version',
    examples: ['npx millrace metrics list --project shop', 'npx millrace metrics list --json']
  })
    .option(...projectOption)
    .action(async ({ json, dataDir, project }: ProjectOption) => {
      await using stack = new AsyncDisposableStack()
      const metrics = await definitionsOf(context, dataDir, project, stack)
      const shown = [
        ...metrics.map(toListed),
        ...sessionMetrics.map((name) => ({ name, version: 1, measure: { kind: 'ratio' }, granularities: ['1h'] })),
        ...[...derivedMetrics].map(([name, { of, granularity }]) => ({
          name,
          version: 1,
          of,
          granularities: [granularity]
        }))
      ]
      print(terminal, json, shown, () => renderList(metrics, terminal.colour))
    })
}

function addDefine(group: Command, context: CliContext): void {
  const { terminal } = context
  addCommand(group, {
    usage: 'define <name>',
    description: 'add a metric, or another version of one; it counts from the next full hour on, never backwards',
    examples: [
      'npx millrace metrics define signups --measure count --type signup --by country --project shop',
      'npx millrace metrics define spend --measure sum:price --type purchase --where properties.plan=pro',
      'npx millrace metrics define readers --measure unique:user --type page_view --by path --cap 100',
      'npx millrace metrics define spend --file spend.json --effective-from 2026-02-01T00:00:00Z'
    ]
  })
    .option(...projectOption)
    .option('--measure <measure>', 'count, unique:user, unique:session, sum:<property>, min:<property>, max:<property>')
    .option('--type <eventType>', 'only events of this type; may be repeated', several, [])
    .option(
      '--where <field=value>',
      'only events where a column or properties.<name> is this; may be repeated',
      several,
      []
    )
    .option('--by <field>', 'split by a column or properties.<name>; twice at most', several, [])
    .option('--cap <n>', 'values kept apart in a window; the rest goes together')
    .option('--granularity <list>', '1m, 1h or both')
    .option('--file <file>', 'the definition as JSON instead of these options')
    .option('--effective-from <time>', 'a full hour (UTC) at least five minutes ahead; default the next one')
    .action(async (name: string, options: DefineOptions) => {
      const { json, dataDir, project: projectId, effectiveFrom } = options
      const meaning = parseMeaning(options.file === undefined ? toWritten(options) : await readDefinition(options.file))
      const from = effectiveFrom === undefined ? {} : { effectiveFromMs: timeOf('--effective-from', effectiveFrom) }
      await using stack = new AsyncDisposableStack()
      const postgres = await openDatabase(context, dataDir, stack)
      const defined = await defineMetric({ postgres, actor: actorOf() }, { projectId, name, meaning, ...from })
      const { definition, added } = defined
      print(terminal, json, { projectId, added, ...toListed(definition) }, () => renderDefined(defined))
    })
}

async function definitionsOf(
  context: CliContext,
  dataDir: string,
  project: string,
  stack: AsyncDisposableStack
): Promise<readonly MetricDefinition[]> {
  const { CONVERSION_TYPES } = settings(context, dataDir, liveStateFields)
  const own = await listDefinitions(await openDatabase(context, dataDir, stack), project)
  return [...builtInMetrics(CONVERSION_TYPES), ...own.map(({ definition }) => definition)]
}

/** The options of `define` as a definition is written. */
function toWritten({ measure, type, where, by, cap, granularity }: DefineOptions): Record<string, unknown> {
  if (measure === undefined) throw new UsageError('--measure or --file says what is counted')
  const [kind = '', ...rest] = measure.split(':')
  const operand = rest.join(':')
  const named = rest.length === 0 ? {} : kind === 'unique' ? { of: operand } : { property: operand }
  return {
    measure: { kind, ...named },
    ...(type.length === 0 ? {} : { eventTypes: type }),
    where: where.map(toFilter),
    dimensions: by,
    ...(cap === undefined ? {} : { cap: Number(cap) }),
    ...(granularity === undefined ? {} : { granularities: granularity.split(',') })
  }
}

function toFilter(text: string): { readonly field: string; readonly equals: string } {
  const at = text.indexOf('=')
  if (at < 1) throw new UsageError(`--where is <field>=<value>, not '${text}'`)
  return { field: text.slice(0, at), equals: text.slice(at + 1) }
}

async function readDefinition(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  })
  return parseSchemaText(text)
}

function toListed(metric: MetricDefinition) {
  const { name, version, effectiveFromMs } = metric
  return { name, version, effectiveFrom: iso(effectiveFromMs), ...writeMeaning(metric) }
}

function renderList(metrics: readonly MetricDefinition[], colour: boolean): string {
  const rows = metrics.map(
    ({ name, version, effectiveFromMs, eventTypes, where, measure, dimensions, granularities }) => [
      name,
      version,
      measureText(measure),
      [eventTypes?.join(', '), ...where.map(({ source, equals }) => `${toField(source)}=${equals}`)]
        .filter(Boolean)
        .join(' and '),
      dimensions.map(toField).join(', '),
      granularities.join(', '),
      effectiveFromMs === 0 ? 'always' : iso(effectiveFromMs)
    ]
  )
  const sessions = sessionMetrics.map((name) => [name, 1, 'per session', 'closed sessions', '', '1h', 'always'])
  const derived = [...derivedMetrics].map(([name, { of, granularity }]) => [name, 1, of, '', '', granularity, 'always'])
  const head = ['metric', 'version', 'measure', 'only', 'by', 'windows', 'from']
  return toTable(head, [...rows, ...sessions, ...derived], colour)
}

function measureText(measure: MetricDefinition['measure']): string {
  if (measure.kind === 'count') return 'count'
  return measure.kind === 'unique' ? `unique ${measure.of}s` : `${measure.kind} of ${measure.property}`
}

function renderDefined({ projectId, definition, added }: DefinedMetric): string {
  const { name, version, effectiveFromMs } = definition
  const what = added ? `counts from ${iso(effectiveFromMs)} on` : 'says the same already: nothing was added'
  return `${name} of ${projectId}: version ${version} ${what}`
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString()
}
