// `millrace dlq redrive` and `dlq drop`: both only say what they would do until they get --yes.
import { dropLetters } from '@millrace/operations/drop-letters'
import { previewRedrive, redriveLetters } from '@millrace/operations/redrive-letters'
import type { OnFailure, RedriveReport } from '@millrace/operations/redrive-letters'
import type { FoundLetter } from '@millrace/operations/letters'
import { AppError } from '@millrace/kernel'
import { Option } from 'commander'
import type { Command } from 'commander'
import type { CliContext } from '../context.ts'
import { openLetterDeps } from '../letter-deps.ts'
import { formatCount, print } from '../output.ts'
import { withPlantedRedrive } from '../planted.ts'
import { addCommand } from './command.ts'
import { renderPreview, renderReport } from './dlq-text.ts'
import { sinceOf, wholeOf, withPicking } from './pick-letters.ts'
import type { PickOptions } from './pick-letters.ts'

type ChangeOptions = PickOptions & { readonly limit: string; readonly yes?: boolean; readonly dryRun?: boolean }
type RedriveOptions = ChangeOptions & {
  readonly rate: string
  readonly onFailure: OnFailure
  readonly wait: string
}

/** Adds both to `group`. */
export function addDlqChanges(group: Command, context: CliContext): void {
  const { terminal } = context
  withPicking(
    addCommand(group, {
      usage: 'redrive <projectId>',
      description:
        'send open letters to the group that wrote them, once more; without --yes it only says which. A letter is sent once, however often this is repeated',
      examples: [
        'npx millrace dlq redrive shop --where fingerprint=3f2a9c81d07e',
        'npx millrace dlq redrive shop --where fingerprint=3f2a9c81d07e --yes',
        'npx millrace dlq redrive shop --where group=load --limit 10000 --rate 500 --on-failure stop --yes --json'
      ]
    })
  )
    .option('--limit <n>', 'letters at most, the oldest', '10000')
    .option('--rate <n>', 'letters a second at most', '1000')
    .addOption(
      new Option('--on-failure <policy>', 'letters that fail again: leave them open, give them up, or stop the rest')
        .choices(['reinsert', 'drop', 'stop'])
        .default('reinsert')
    )
    .option('--wait <seconds>', 'how long to wait for the group to come to them', '60')
    .option('--dry-run', 'only say which; the same as without --yes')
    .option('--yes', 'do it')
    .action((projectId: string, options: RedriveOptions) => redrive(context, projectId, options))

  withPicking(
    addCommand(group, {
      usage: 'drop <projectId>',
      description:
        'give open letters up; without --yes it only says which. Nothing is deleted, and one that fails again is open again',
      examples: [
        'npx millrace dlq drop shop --where fingerprint=3f2a9c81d07e',
        'npx millrace dlq drop shop --where fingerprint=3f2a9c81d07e --reason "sent by a test" --yes'
      ]
    })
  )
    .option('--limit <n>', 'letters at most, the oldest', '10000')
    .option('--reason <text>', 'why, for the audit log', '')
    .option('--dry-run', 'only say which; the same as without --yes')
    .option('--yes', 'do it')
    .action(async (projectId: string, options: ChangeOptions & { readonly reason: string }) => {
      const { json, dataDir, where, reason } = options
      const request = {
        projectId,
        where,
        limit: wholeOf('--limit', options.limit, 100_000),
        ...sinceOf(options.since, context.clock.now())
      }
      await using stack = new AsyncDisposableStack()
      const deps = await openLetterDeps(context, dataDir, stack)
      if (!isMeant(options)) return preview(context, json, await previewRedrive(deps, request), 'given up')
      const dropped = await dropLetters(deps, { ...request, reason })
      print(terminal, json, dropped, () => `${formatCount(dropped.dropped.length)} letters given up`)
    })
}

async function redrive(context: CliContext, projectId: string, options: RedriveOptions): Promise<void> {
  const { terminal } = context
  const { json, dataDir, where, onFailure } = options
  const request = {
    projectId,
    where,
    onFailure,
    limit: wholeOf('--limit', options.limit, 100_000),
    perSecond: wholeOf('--rate', options.rate, 100_000),
    waitMs: wholeOf('--wait', options.wait, 86_400) * 1_000,
    ...sinceOf(options.since, context.clock.now())
  }
  await using stack = new AsyncDisposableStack()
  const deps = await openLetterDeps(context, dataDir, stack)
  if (!isMeant(options)) return preview(context, json, await previewRedrive(deps, request), 'sent')
  const onProgress = (sent: number, of: number): void =>
    json === true ? undefined : terminal.out(`${formatCount(sent)} of ${formatCount(of)} sent`)
  const producer = withPlantedRedrive(deps.producer, context)
  const report = await redriveLetters({ ...deps, producer, onProgress }, request)
  print(terminal, json, report, renderReport)
  const unwanted = toUnwanted(report)
  if (unwanted !== '') throw new AppError('PIPE_CONFLICT', unwanted)
}

/** What of a redrive is not as it was asked for, empty when all is; the exit code tells it, too. */
export function toUnwanted({ outcomes: { failed, refused, waiting, gone }, dropped, stopped }: RedriveReport): string {
  const parts = [
    failed > dropped ? `${failed} failed again` : '',
    refused > 0 ? `${refused} were not sent` : '',
    waiting > 0 ? `${waiting} still wait for their group` : '',
    gone > 0 ? `${gone} were taken by retention meanwhile` : '',
    stopped ? 'the rest was not sent' : ''
  ]
  return parts.filter((part) => part !== '').join(', ')
}

function isMeant({ yes, dryRun }: ChangeOptions): boolean {
  return yes === true && dryRun !== true
}

function preview(
  { terminal }: CliContext,
  json: boolean | undefined,
  found: { readonly matched: number; readonly letters: readonly FoundLetter[] },
  done: string
): void {
  print(terminal, json, { dryRun: true, ...found }, () => renderPreview(found, done, terminal.colour))
}
