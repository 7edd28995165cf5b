// `millrace audit`: who changed what, and whether the log of it is as it was written.
import { AppError } from '@millrace/kernel'
import { listAudit, verifyAudit } from '@millrace/operations/audit-log'
import type { AuditHead, AuditPage, AuditVerification } from '@millrace/operations/audit-log'
import type { Command } from 'commander'
import { openDatabase } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { UsageError, print, toTable } from '../output.ts'
import { addCommand, addGroup } from './command.ts'
import { wholeOf } from './pick-letters.ts'

interface ListOptions extends CommonOptions {
  readonly project?: string
  readonly action?: string
  readonly actor?: string
  readonly limit: string
  readonly before?: string
}

/** Adds `audit ls|verify`. */
export function addAuditCommands(program: Command, context: CliContext): void {
  const { terminal } = context
  const group = addGroup(program, 'audit', 'who changed what, and whether the log of it is intact')

  addCommand(group, {
    usage: 'ls',
    description: 'the audit log, newest first; --json shows what was before and after each change',
    examples: [
      'npx millrace audit ls --project shop',
      'npx millrace audit ls --action key.revoke --limit 20 --json',
      'npx millrace audit ls --before 1200'
    ]
  })
    .option('--project <projectId>', 'only this project')
    .option('--action <action>', 'only this action, such as key.revoke')
    .option('--actor <actor>', 'only this actor, such as cli:ada or api:admin')
    .option('--limit <n>', 'rows at most', '50')
    .option('--before <number>', 'only rows before this number')
    .action(async ({ json, dataDir, project, action, actor, limit, before }: ListOptions) => {
      const wanted = {
        limit: wholeOf('--limit', limit, 10_000),
        ...(project === undefined ? {} : { projectId: project }),
        ...(action === undefined ? {} : { action }),
        ...(actor === undefined ? {} : { actor }),
        ...(before === undefined ? {} : { before: wholeOf('--before', before, Number.MAX_SAFE_INTEGER) })
      }
      await using stack = new AsyncDisposableStack()
      const page = await listAudit(await openDatabase(context, dataDir, stack), wanted)
      print(terminal, json, page, () => renderPage(page, terminal.colour))
    })

  addCommand(group, {
    usage: 'verify',
    description: 'whether the log is as it was written; exit code 1 when a row was changed, removed or added',
    examples: ['npx millrace audit verify', 'npx millrace audit verify --head 1200:9f86d081…']
  })
    .option('--head <number:digest>', 'a head that was printed before: finds rows cut off at the end, too')
    .action(async ({ json, dataDir, head }: CommonOptions & { readonly head?: string }) => {
      const known = head === undefined ? undefined : headOf(head)
      await using stack = new AsyncDisposableStack()
      const verified = await verifyAudit(await openDatabase(context, dataDir, stack), known)
      print(terminal, json, verified, renderVerified)
      if (!verified.intact)
        throw new AppError('PIPE_CONFLICT', `the audit log is not as it was written, from row ${verified.brokenAt} on`)
    })
}

function headOf(text: string): AuditHead {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text)
  if (match === null) throw new UsageError(`--head is <number>:<digest> as \`audit verify\` prints it, not '${text}'`)
  return { number: Number(match[1]), digest: match[2] ?? '' }
}

function renderPage({ rows, next }: AuditPage, colour: boolean): string {
  const cells = rows.map(({ number, at, actor, action, projectId, subject }) => [
    number,
    at.toISOString(),
    actor,
    action,
    projectId ?? undefined,
    subject
  ])
  const table = toTable(['number', 'at', 'who', 'what', 'project', 'subject'], cells, colour)
  return next === undefined ? table : `${table}\nmore: --before ${next}`
}

function renderVerified({ intact, rows, head }: AuditVerification): string {
  const kept = head === undefined ? '' : `; head ${head.number}:${head.digest}`
  return intact ? `${rows} rows, all as they were written${kept}` : `${rows} rows, not as they were written`
}
