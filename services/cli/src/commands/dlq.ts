// `millrace dlq`: dead letters, what became of them, and the way back.
import { resumeGroup } from '@millrace/operations/group-resumes'
import { parseLetterFilter } from '@millrace/operations/letter-filter'
import { countStates, groupLetters } from '@millrace/operations/letter-groups'
import { letterStates } from '@millrace/operations/letter-states'
import { readLetters } from '@millrace/operations/letters'
import type { FoundLetter } from '@millrace/operations/letters'
import { showLetter } from '@millrace/operations/show-letter'
import type { Command } from 'commander'
import type { CliContext, CommonOptions } from '../context.ts'
import { openLetterDeps } from '../letter-deps.ts'
import { formatCount, print } from '../output.ts'
import { addCommand, addGroup } from './command.ts'
import { addDlqChanges } from './dlq-changes.ts'
import { renderGroups, renderLetter, renderLetters } from './dlq-text.ts'
import { sinceOf, wholeOf, withPicking } from './pick-letters.ts'
import type { PickOptions } from './pick-letters.ts'

type ListOptions = PickOptions & { readonly limit: string; readonly all?: boolean }

/** Adds `dlq ls|show|groups|redrive|drop|resume`. */
export function addDlqCommands(program: Command, context: CliContext): void {
  const { terminal } = context
  const group = addGroup(program, 'dlq', 'dead letters: look, send again, give up')

  withPicking(
    addCommand(group, {
      usage: 'ls <projectId>',
      description: 'dead letters of a project, the latest last; those that are closed or dropped only with --all',
      examples: [
        'npx millrace dlq ls shop',
        'npx millrace dlq ls shop --where group=load --where "message~out of range" --limit 20',
        'npx millrace dlq ls shop --since 2026-01-31T12:00:00Z --all --json'
      ]
    })
  )
    .option('--limit <n>', 'letters at most, the latest', '50')
    .option('--all', 'those that are closed or dropped, too')
    .action(async (projectId: string, options: ListOptions) => {
      const limit = wholeOf('--limit', options.limit, 1_000_000)
      const letters = await pick(context, projectId, options)
      const shown = letters.filter(({ state }) => options.all === true || state === 'open' || state === 'redriven')
      const found = { letters: shown.slice(-limit), matched: shown.length, states: countStates(letters) }
      print(terminal, options.json, found, () => {
        const counts = letterStates.map((state) => `${formatCount(found.states[state])} ${state}`).join(', ')
        return `${renderLetters(found.letters, terminal.colour)}\n${counts}`
      })
    })

  addCommand(group, {
    usage: 'show <letterId>',
    description: 'a letter with the bytes and headers of its record',
    examples: ['npx millrace dlq show load:events.shop:3:1042', 'npx millrace dlq show load:events.shop:3:1042 --json']
  }).action(async (letterId: string, { json, dataDir }: CommonOptions) => {
    await using stack = new AsyncDisposableStack()
    print(terminal, json, await showLetter(await openLetterDeps(context, dataDir, stack), letterId), renderLetter)
  })

  withPicking(
    addCommand(group, {
      usage: 'groups <projectId>',
      description:
        'the causes: letters of one group, class, code, stage and message, the one with most open letters first',
      examples: ['npx millrace dlq groups shop', 'npx millrace dlq groups shop --where state=open --json']
    })
  ).action(async (projectId: string, options: PickOptions) => {
    const groups = groupLetters(await pick(context, projectId, options))
    print(terminal, options.json, groups, () => renderGroups(groups, terminal.colour))
  })

  addDlqChanges(group, context)

  addCommand(group, {
    usage: 'resume <groupId>',
    description: 'let a group go on that stopped because of too many dead letters; what it held back becomes letters',
    examples: ['npx millrace dlq resume load']
  }).action(async (groupId: string, { json, dataDir }: CommonOptions) => {
    await using stack = new AsyncDisposableStack()
    await resumeGroup(await openLetterDeps(context, dataDir, stack), groupId)
    print(terminal, json, { groupId, resumed: true }, () => `every process of ${groupId} hears of it within seconds`)
  })
}

async function pick(
  context: CliContext,
  projectId: string,
  { dataDir, where, since }: PickOptions
): Promise<readonly FoundLetter[]> {
  const matches = parseLetterFilter(where)
  await using stack = new AsyncDisposableStack()
  const deps = await openLetterDeps(context, dataDir, stack)
  return (await readLetters(deps, { projectId, ...sinceOf(since, context.clock.now()) })).filter(matches)
}
