// `millrace archive`: what is archived, its rows, whether it is as promised, and the warehouse made of it again.
import { AppError, systemClock } from '@millrace/kernel'
import { catFile, catRange } from '@millrace/operations/archive-rows'
import { verifyArchive } from '@millrace/operations/archive-verify'
import type { ArchiveReport } from '@millrace/operations/archive-verify'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import type { ArchiveFile, FileFilter } from '@millrace/stores/archive-manifest'
import { rawTopic } from '@millrace/contracts'
import type { Command } from 'commander'
import { openDatabase, openLog, openObjects } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { print, toTable, UsageError } from '../output.ts'
import { addArchiveRebuild } from './archive-rebuild.ts'
import { addCommand, addGroup } from './command.ts'

type ArchiveOptions = CommonOptions & {
  readonly project?: string
  readonly partition?: string
  readonly from?: string
  readonly to?: string
  readonly log: boolean
}

/** Adds `archive ls|cat|verify|rebuild`. */
export function addArchiveCommands(program: Command, context: CliContext): void {
  const { terminal } = context
  const group = addGroup(program, 'archive', 'list, read and verify the Parquet archive, and load it again')

  addCommand(group, {
    usage: 'ls',
    description: 'the files of the archive',
    examples: ['npx millrace archive ls', 'npx millrace archive ls --project shop --partition 0 --json']
  })
    .option('--project <projectId>', 'only this project')
    .option('--partition <number>', 'only this partition')
    .action(async (options: ArchiveOptions) => {
      await using stack = new AsyncDisposableStack()
      const manifest = createArchiveManifest(await openDatabase(context, options.dataDir, stack))
      const files = await manifest.files(filterOf(options))
      print(terminal, options.json, files, () => renderFiles(files, terminal.colour))
    })

  addCommand(group, {
    usage: 'cat [key]',
    description: 'rows as one JSON object per line: of a file, or of a range of offsets',
    examples: [
      'npx millrace archive cat archive/shop/events.shop/0/1/000...parquet',
      'npx millrace archive cat --project shop --partition 0 --from 1000 --to 1999'
    ]
  })
    .option('--project <projectId>', 'project of the range')
    .option('--partition <number>', 'partition of the range')
    .option('--from <offset>', 'first offset', '0')
    .option('--to <offset>', 'last offset; the newest when absent')
    .action(async (key: string | undefined, options: ArchiveOptions) => {
      await using stack = new AsyncDisposableStack()
      const objects = openObjects(context, options.dataDir, stack)
      const manifest = createArchiveManifest(await openDatabase(context, options.dataDir, stack))
      const lines = key === undefined ? catRange({ manifest, objects }, rangeOf(options)) : catFile({ objects }, key)
      for await (const line of lines) terminal.out(line)
    })

  addCommand(group, {
    usage: 'verify',
    description: 'compare files, manifest and, while it has them, the log; exit code 1 when anything is wrong',
    examples: ['npx millrace archive verify', 'npx millrace archive verify --project shop --no-log --json']
  })
    .option('--project <projectId>', 'only this project')
    .option('--partition <number>', 'only this partition')
    .option('--no-log', 'do not read the log')
    .action(async (options: ArchiveOptions) => {
      await using stack = new AsyncDisposableStack()
      const objects = openObjects(context, options.dataDir, stack)
      const manifest = createArchiveManifest(await openDatabase(context, options.dataDir, stack))
      const log = options.log ? { ...(await openLog(context, options.dataDir, stack)), clock: systemClock } : undefined
      // Files take hours: that the log does not answer is told before them.
      await log?.admin.brokerCount()
      const report = await verifyArchive(
        { manifest, objects, ...(log === undefined ? {} : { log }) },
        filterOf(options)
      )
      print(terminal, options.json, report, renderReport)
      const { problems } = report
      if (problems.length > 0)
        throw new AppError('PIPE_ARCHIVE_BROKEN', `${problems.length} problem(s) in the archive; see docs/archive.md`)
    })

  addArchiveRebuild(group, context)
}

function filterOf({ project, partition }: ArchiveOptions): FileFilter {
  return {
    topic: project === undefined ? undefined : rawTopic(project),
    partition: partition === undefined ? undefined : Number(wholeNumber('--partition', partition))
  }
}

function rangeOf({ project, partition, from = '0', to }: ArchiveOptions) {
  if (project === undefined || partition === undefined)
    throw new UsageError('name a file, or a range by --project and --partition')
  return {
    topic: rawTopic(project),
    partition: Number(wholeNumber('--partition', partition)),
    from: wholeNumber('--from', from),
    to: to === undefined ? undefined : wholeNumber('--to', to)
  }
}

function wholeNumber(name: string, text: string): bigint {
  if (!/^\d{1,18}$/.test(text)) throw new UsageError(`${name} must be a whole number, not '${text}'`)
  return BigInt(text)
}

function renderFiles(files: readonly ArchiveFile[], colour: boolean): string {
  const rows = files.map(({ topic, partition, epoch, first, last, rows: count, holes, fileBytes, key }) => [
    `${topic}:${partition}`,
    epoch,
    first,
    last,
    count,
    holes,
    fileBytes,
    key
  ])
  return toTable(['partition', 'epoch', 'first', 'last', 'rows', 'holes', 'bytes', 'object'], rows, colour)
}

function renderReport(report: ArchiveReport): string {
  const { partitions, files, rows, holes, comparedRows, orphans, problems } = report
  return [
    `partitions        ${partitions}`,
    `files             ${files}`,
    `rows              ${rows}`,
    `offsets without   ${holes}`,
    `compared with log ${comparedRows}`,
    ...orphans.map((key) => `orphan            ${key}`),
    ...problems.map(({ kind, where, detail }) => `${kind.padEnd(17)} ${where}: ${detail}`),
    problems.length === 0 ? 'the archive is complete and unchanged' : `${problems.length} problem(s)`
  ].join('\n')
}
