// `millrace topics grow`: more partitions for one project, while events come in.
import { growTopics, planGrowth } from '@millrace/operations/grow-topics'
import type { GrowPlan } from '@millrace/operations/grow-topics'
import type { Command } from 'commander'
import { openAdmin, openDatabase, openSampler } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { actorOf } from '../identity.ts'
import { UsageError, print } from '../output.ts'
import { addCommand } from './command.ts'

interface GrowOptions extends CommonOptions {
  readonly partitions: string
  readonly wait: string
  readonly dryRun?: boolean
}

/** Adds `topics grow`. */
export function addTopicsGrow(group: Command, context: CliContext): void {
  const { terminal, clock } = context
  addCommand(group, {
    usage: 'grow <projectId>',
    description: 'give the raw and processed topic of a project more partitions; nothing is lost or counted twice',
    examples: [
      'npx millrace topics grow shop --partitions 8 --dry-run',
      'npx millrace topics grow shop --partitions 8',
      'npx millrace topics grow shop --partitions 8 --wait 600 --json'
    ]
  })
    .requiredOption('--partitions <n>', 'how many it has then; they only grow')
    .option('--wait <seconds>', 'longest wait for consumer groups to take the new partitions of a topic', '120')
    .option('--dry-run', 'show what would be done')
    .action(async (projectId: string, { json, dataDir, partitions, wait, dryRun = false }: GrowOptions) => {
      const waitMs = Number(wait) * 1_000
      if (!(waitMs >= 0)) throw new UsageError(`--wait is a number of seconds, not '${wait}'`)
      await using stack = new AsyncDisposableStack()
      const admin = await openAdmin(context, dataDir, stack)
      if (dryRun) {
        const plan = await planGrowth({ admin }, projectId, Number(partitions))
        return print(terminal, json, plan, renderPlan)
      }
      const deps = {
        admin,
        sampler: await openSampler(context, dataDir, stack),
        postgres: await openDatabase(context, dataDir, stack),
        actor: actorOf(),
        clock,
        say: (line: string) => (json === true ? terminal.error(line) : terminal.out(line)),
        waitMs
      }
      const plan = await growTopics(deps, projectId, Number(partitions))
      print(terminal, json, plan, () => `${projectId} has ${plan.partitions} partitions, and every group reads them`)
    })
}

function renderPlan({ projectId, partitions, raw, processed, steps }: GrowPlan): string {
  if (steps.length === 0) return `${projectId} has ${partitions} partitions already`
  const lines: Readonly<Record<GrowPlan['steps'][number], string>> = {
    declare: `write ${partitions} partitions of ${projectId} into topics.yaml`,
    'grow processed': `grow the processed topic from ${processed} to ${partitions}, and wait for its readers`,
    'grow raw': `grow the raw topic from ${raw} to ${partitions}, and wait for its groups`
  }
  return steps.map((step, index) => `${index + 1}. ${lines[step]}`).join('\n')
}
