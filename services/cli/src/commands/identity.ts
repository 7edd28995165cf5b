// `millrace identity`: why an event belongs to a person, and manual merges of user ids.
import { writePersonEdges } from '@millrace/operations/identity-closure'
import { explainDevice, explainEvent, explainUser } from '@millrace/operations/identity-explain'
import { mergeUsers, undoMerge } from '@millrace/operations/identity-merges'
import type { IdentityMerge, MergeResult } from '@millrace/operations/identity-merges'
import type { Command } from 'commander'
import { openDatabase, openWarehouse } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { renderDevice, renderEvent, renderUser } from '../identity-text.ts'
import { actorOf } from '../identity.ts'
import { print, UsageError } from '../output.ts'
import { addCommand, addGroup } from './command.ts'

type ProjectOptions = CommonOptions & { readonly project: string }
type ReasonOptions = ProjectOptions & { readonly reason: string }
type ExplainOptions = ProjectOptions & { readonly event?: string; readonly anonymous?: string; readonly user?: string }

const projectOption = ['--project <projectId>', 'the project', 'demo'] as const
const reasonOption = ['--reason <text>', 'why, for those who ask later', ''] as const

/** Adds `identity explain|merge|undo`. */
export function addIdentityCommands(program: Command, context: CliContext): void {
  const { terminal } = context
  const group = addGroup(program, 'identity', 'who did an event, and which user ids are one person')

  addCommand(group, {
    usage: 'explain',
    description: 'the facts that decide an event, an anonymous id or a user id',
    examples: [
      'npx millrace identity explain --event 0190a3c2-7d1e-7000-8000-1b2c3d4e5f60',
      'npx millrace identity explain --anonymous device-17 --project shop',
      'npx millrace identity explain --user ann@shop.example --project shop --json'
    ]
  })
    .option(...projectOption)
    .option('--event <eventId>', 'why this event belongs to its person')
    .option('--anonymous <anonymousId>', 'whose this device was, and when')
    .option('--user <userId>', 'person, merges and devices of this user id')
    .action(async (options: ExplainOptions) => {
      const { json, dataDir, project, event, anonymous, user } = options
      if ([event, anonymous, user].filter((id) => id !== undefined).length !== 1)
        throw new UsageError('name one of --event, --anonymous and --user')
      await using stack = new AsyncDisposableStack()
      const postgres = await openDatabase(context, dataDir, stack)
      const deps = { postgres, clickhouse: await openWarehouse(context, dataDir, stack) }
      if (event !== undefined) print(terminal, json, await explainEvent(deps, project, event), renderEvent)
      else if (anonymous !== undefined) {
        print(terminal, json, await explainDevice(deps, project, anonymous), (found) =>
          renderDevice(found, terminal.colour)
        )
      } else if (user !== undefined) {
        print(terminal, json, await explainUser(deps, project, user), (found) => renderUser(found, terminal.colour))
      }
    })
  addChangeCommands(group, context)
}

function addChangeCommands(group: Command, context: CliContext): void {
  const { terminal } = context
  addCommand(group, {
    usage: 'merge <fromUserId> <intoUserId>',
    description: 'make two user ids one person, called by the second one; past events follow within seconds',
    examples: [
      'npx millrace identity merge ann@old.example ann@shop.example --project shop --reason "moved, ticket 311"',
      'npx millrace identity merge 4711 u-4711 --json'
    ]
  })
    .option(...projectOption)
    .option(...reasonOption)
    .action(async (fromUserId: string, intoUserId: string, { json, dataDir, project, reason }: ReasonOptions) => {
      await using stack = new AsyncDisposableStack()
      const postgres = await openDatabase(context, dataDir, stack)
      const clickhouse = await openWarehouse(context, dataDir, stack)
      const request = { projectId: project, fromUserId, intoUserId, reason }
      const merged = await mergeUsers({ postgres, actor: actorOf() }, request)
      // Also when nothing was added: an earlier call may have ended between the two stores.
      await writePersonEdges({ postgres, clickhouse }, project)
      print(terminal, json, merged, renderMerged)
    })

  addCommand(group, {
    usage: 'undo <mergeId>',
    description: 'take one merge back; what it joined is apart again, exactly as before',
    examples: ['npx millrace identity undo 12 --project shop', 'npx millrace identity undo 12 --reason "wrong person"']
  })
    .option(...projectOption)
    .option(...reasonOption)
    .action(async (mergeId: string, { json, dataDir, project, reason }: ReasonOptions) => {
      if (!/^[1-9]\d{0,17}$/.test(mergeId))
        throw new UsageError(
          `a merge is named by its number, which \`identity explain --user\` lists, not '${mergeId}'`
        )
      await using stack = new AsyncDisposableStack()
      const postgres = await openDatabase(context, dataDir, stack)
      const clickhouse = await openWarehouse(context, dataDir, stack)
      try {
        const undone = await undoMerge({ postgres, actor: actorOf() }, { projectId: project, mergeId, reason })
        print(terminal, json, undone, renderUndone)
      } finally {
        // Also when it was undone before: that call may have ended between the two stores.
        await writePersonEdges({ postgres, clickhouse }, project)
      }
    })
}

function renderMerged({ projectId, person, merge }: MergeResult): string {
  return [
    `person   ${person.personId}`,
    `user ids ${person.userIds.join(', ')}`,
    merge === undefined
      ? 'nothing to do: they were one person already'
      : `merge    ${merge.mergeId} (take it back with \`npx millrace identity undo ${merge.mergeId} --project ${projectId}\`)`
  ].join('\n')
}

function renderUndone({ mergeId, fromUserId, intoUserId }: IdentityMerge): string {
  return `merge ${mergeId} of ${fromUserId} into ${intoUserId} is undone`
}
