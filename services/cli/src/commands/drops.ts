// `millrace drops`: rules by which the gateways drop events of one type, user or device.
import type { DropKind } from '@millrace/contracts'
import { addDrop, listDrops, removeDrop } from '@millrace/operations/drop-rules'
import type { ListedDrop } from '@millrace/operations/drop-rules'
import type { Command } from 'commander'
import { openDatabase } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { actorOf } from '../identity.ts'
import { UsageError, print, toTable } from '../output.ts'
import { addCommand, addGroup } from './command.ts'

interface SubjectOptions extends CommonOptions {
  readonly project: string
  readonly eventType?: string
  readonly user?: string
  readonly anonymous?: string
  readonly reason?: string
}

/** Adds `drops add|ls|remove`. */
export function addDropsCommands(program: Command, context: CliContext): void {
  const { terminal, clock } = context
  const group = addGroup(program, 'drops', 'have the gateways drop events of a type, a user or a device')

  withSubject(
    addCommand(group, {
      usage: 'add',
      description: 'drop events from now on; gateways follow within a minute and count what they drop',
      examples: [
        'npx millrace drops add --project shop --event-type heartbeat --reason "loop in release 4.2"',
        'npx millrace drops add --project shop --user bot-17',
        'npx millrace drops add --project shop --anonymous 9b2e --json'
      ]
    })
  )
    .option('--reason <text>', 'why, for people')
    .action(async ({ json, dataDir, reason = '', ...options }: SubjectOptions) => {
      const subject = subjectOf(options)
      await using stack = new AsyncDisposableStack()
      const postgres = await openDatabase(context, dataDir, stack)
      const rule = await addDrop({ postgres, actor: actorOf(), clock }, subject, reason)
      print(terminal, json, rule, () => `events with ${rule.kind} '${rule.key}' of ${rule.projectId} are dropped`)
    })

  addCommand(group, {
    usage: 'ls',
    description: 'the rules in force',
    examples: ['npx millrace drops ls', 'npx millrace drops ls --project shop --json']
  })
    .option('--project <projectId>', 'only the rules of this project')
    .action(async ({ json, dataDir, project }: CommonOptions & { project?: string }) => {
      await using stack = new AsyncDisposableStack()
      const rules = await listDrops(await openDatabase(context, dataDir, stack), project)
      print(terminal, json, rules, () => renderRules(rules, terminal.colour))
    })

  withSubject(
    addCommand(group, {
      usage: 'remove',
      description: 'take a rule back; what was dropped meanwhile is not stored anywhere',
      examples: ['npx millrace drops remove --project shop --event-type heartbeat']
    })
  ).action(async ({ json, dataDir, ...options }: SubjectOptions) => {
    const subject = subjectOf(options)
    await using stack = new AsyncDisposableStack()
    const postgres = await openDatabase(context, dataDir, stack)
    const rule = await removeDrop({ postgres, actor: actorOf() }, subject)
    print(terminal, json, rule, () => `events with ${rule.kind} '${rule.key}' of ${rule.projectId} are taken again`)
  })
}

function withSubject(command: Command): Command {
  return command
    .requiredOption('--project <projectId>', 'the project')
    .option('--event-type <type>', 'events of this type')
    .option('--user <userId>', 'events of this user')
    .option('--anonymous <anonymousId>', 'events of this device')
}

function subjectOf({ project, eventType, user, anonymous }: Omit<SubjectOptions, keyof CommonOptions>): {
  readonly projectId: string
  readonly kind: DropKind
  readonly key: string
} {
  const given = Object.entries({ eventType, userId: user, anonymousId: anonymous } satisfies Record<DropKind, unknown>)
  const [first, ...more] = given.filter(([, key]) => key !== undefined)
  if (first === undefined || more.length > 0) throw new UsageError('name one of --event-type, --user and --anonymous')
  return { projectId: project, kind: first[0] as DropKind, key: first[1] ?? '' }
}

function renderRules(rules: readonly ListedDrop[], colour: boolean): string {
  if (rules.length === 0) return 'no drop rules'
  const rows = rules.map(({ projectId, kind, key, reason, by, since }) => [projectId, kind, key, since, by, reason])
  return toTable(['project', 'kind', 'key', 'since', 'by', 'reason'], rows, colour)
}
