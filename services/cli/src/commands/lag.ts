// `millrace lag`: how far each consumer group is behind, by the position of its sink.
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { parseTopic } from '@millrace/contracts'
import type { LogSampler } from '@millrace/kafka'
import { createLagBook } from '@millrace/operations/lag-book'
import type { LagRow, LagView } from '@millrace/operations/lag-book'
import { sampleLag } from '@millrace/operations/lag-sample'
import { archiveSink, committedSink, liveStateSink } from '@millrace/operations/sinks'
import type { Sink } from '@millrace/operations/sinks'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import type { Command } from 'commander'
import { openDatabase, openLiveState, openSampler } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { print, toTable } from '../output.ts'
import { addCommand } from './command.ts'

/** Groups of a pipeline by where their position is. */
const committing = ['process', 'load', 'record'] as const
const everyMs = 10_000
/** Records read for their time at most. */
const maxReads = 500

interface LagOptions extends CommonOptions {
  readonly project?: string
  readonly group?: string
  readonly partitions?: boolean
}

/** Adds `lag`. */
export function addLagCommand(program: Command, context: CliContext): void {
  const { terminal } = context
  addCommand(program, {
    usage: 'lag',
    description: 'how many records each consumer group is behind, and how old the oldest of them is',
    examples: [
      'npx millrace lag',
      'npx millrace lag --group load --partitions',
      "npx millrace lag --project shop --json | jq '.rows[] | select(.seconds > 60)'"
    ]
  })
    .option('--project <projectId>', 'only the topics of this project')
    .option('--group <group>', 'only this consumer group')
    .option('--partitions', 'each partition by itself')
    .action(async ({ json, dataDir, project, group, partitions = false }: LagOptions) => {
      await using stack = new AsyncDisposableStack()
      const view = await lookOnce(context, dataDir, stack)
      const rows = view.rows
        .filter(({ topic }) => project === undefined || parseTopic(topic)?.parameter === project)
        .filter((row) => group === undefined || row.group === group)
        .toSorted(byName)
      const shown = {
        sampledAt: new Date(view.atMs).toISOString(),
        rows: rows.map(({ group: name, topic, partition, position, end, records, ...row }) => {
          return { group: name, topic, partition, position, end, records, seconds: secondsOf(row) ?? null }
        }),
        unknown: view.unknown
      }
      print(terminal, json, shown, () =>
        [
          partitions ? renderPartitions(rows, terminal.colour) : renderTopics(rows, terminal.colour),
          ...shown.unknown.map((each) => `group ${each.group} could not be asked: ${each.reason}`)
        ].join('\n')
      )
    })
}

/** The sinks of the pipeline that `dataDir` and the environment name; what they need lives as long as `stack`. */
export async function openSinks(
  context: CliContext,
  dataDir: string,
  stack: AsyncDisposableStack
): Promise<{ readonly sampler: Pick<LogSampler, 'heads' | 'appendTimes'>; readonly sinks: readonly Sink[] }> {
  const sampler = await openSampler(context, dataDir, stack)
  const epochs = createRedisEpochs(await openLiveState(context, dataDir, stack))
  const manifest = createArchiveManifest(await openDatabase(context, dataDir, stack))
  return {
    sampler,
    sinks: [
      liveStateSink(epochs, 'aggregate'),
      archiveSink(manifest, 'archive'),
      ...committing.map((group) => committedSink(sampler, group))
    ]
  }
}

/** One sample of every group, with the ages that can be read at once. Throws PIPE_KAFKA_UNAVAILABLE. */
export async function lookOnce(context: CliContext, dataDir: string, stack: AsyncDisposableStack): Promise<LagView> {
  const { sampler, sinks } = await openSinks(context, dataDir, stack)
  const book = createLagBook({ everyMs })
  book.take(await sampleLag({ sampler, sinks, clock: context.clock }))
  // Positions of one partition are read one after the other: each group has its own.
  for (let read = 0; read < maxReads;) {
    const unclear = book.unclear(maxReads - read)
    if (unclear.length === 0) break
    const times = await sampler.appendTimes(unclear)
    book.learn(unclear, times)
    read += unclear.length
    if (times.size === 0) break
  }
  return book.judge()
}

function renderTopics(rows: readonly LagRow[], colour: boolean): string {
  const byTopic = [...Map.groupBy(rows, ({ group, topic }) => `${group} ${topic}`).values()]
  const lines = byTopic.map((own) => {
    const [first] = own
    const oldest = own.reduce<number | undefined>((most, row) => max(most, secondsOf(row)), undefined)
    const behind = own.filter(({ records }) => records > 0).length
    return [first?.group, first?.topic, own.length, behind, sum(own.map(({ records }) => records)), age(oldest)]
  })
  return toTable(['group', 'topic', 'partitions', 'behind', 'records', 'oldest'], lines, colour)
}

function renderPartitions(rows: readonly LagRow[], colour: boolean): string {
  const lines = rows.map(({ group, topic, partition, position, end, records, ...row }) => {
    return [group, topic, partition, position, end, records, age(secondsOf(row))]
  })
  return toTable(['group', 'topic', 'partition', 'position', 'end', 'records', 'oldest'], lines, colour)
}

/** One look knows the age of what it has read; the rest is not told rather than guessed. */
function secondsOf({ seconds, isAtLeast }: Pick<LagRow, 'seconds' | 'isAtLeast'>): number | undefined {
  return isAtLeast ? undefined : seconds
}

function byName(left: LagRow, right: LagRow): number {
  if (left.group !== right.group) return left.group < right.group ? -1 : 1
  if (left.topic !== right.topic) return left.topic < right.topic ? -1 : 1
  return left.partition - right.partition
}

/** `0 s`, `59 s`, `12 min`, `3.5 h`, `2.1 d`. */
export function age(seconds: number | undefined): string | undefined {
  if (seconds === undefined) return undefined
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${(seconds / 3_600).toFixed(1)} h`
  return `${(seconds / 86_400).toFixed(1)} d`
}

function max(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.max(a, b)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
