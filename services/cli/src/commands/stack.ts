// `millrace stack`: the real Kafka, Redis, PostgreSQL and ClickHouse engine of this machine, without the services.
import { AppError } from '@millrace/kernel'
import type { Command } from 'commander'
import { ensurePrograms } from '@millrace/local-stack/ensure-programs'
import type { BrokerCount } from '@millrace/local-stack/part'
import { portsFromEnv } from '@millrace/local-stack/ports'
import { stackDown, stackState, stackStatus, stackUp, stackWipe } from '@millrace/local-stack/stack-control'
import type { StackStatus } from '@millrace/local-stack/stack-control'
import { dataFolder } from '../context.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { UsageError, print, toTable } from '../output.ts'
import { migrateStores } from '../start/prepare.ts'
import { brokersHelp, parseBrokers } from './brokers-option.ts'
import { addCommand, addGroup } from './command.ts'

/** Adds `stack up|down|status|wipe`. */
export function addStackCommands(program: Command, context: CliContext): void {
  const { terminal } = context
  const group = addGroup(program, 'stack', 'start and stop the local Kafka, Redis, PostgreSQL and ClickHouse engine')

  addCommand(group, {
    usage: 'up',
    description: 'start the stack and leave it running in the background',
    examples: [
      'npx millrace stack up',
      'npx millrace stack up --brokers 3',
      'MILLRACE_PORT_KAFKA=29092 npx millrace stack up'
    ]
  })
    .option('--brokers <count>', brokersHelp, parseBrokers)
    .action(async ({ json, dataDir, brokers }: CommonOptions & { brokers?: BrokerCount }) => {
      const log = (line: string): void => terminal.error(line)
      await ensurePrograms({ log })
      const ports = portsFromEnv(context.env)
      const status = await stackUp({ dataDir: dataFolder(dataDir).stack, ports, brokers, log })
      await migrateStores(status.endpoints ?? {}, log)
      print(terminal, json, { state: stackState(status), ...status }, () => renderStatus(status, terminal.colour))
    })

  addCommand(group, {
    usage: 'down',
    description: 'stop the stack; its data stays',
    examples: ['npx millrace stack down']
  }).action(async ({ json, dataDir }: CommonOptions) => {
    const stopped = await stackDown(dataFolder(dataDir).stack)
    print(terminal, json, { stopped }, () =>
      stopped.length === 0 ? 'nothing was running' : `stopped ${stopped.join(', ')}`
    )
  })

  addCommand(group, {
    usage: 'status',
    description: 'what runs, where, and its logs; exit code 1 unless everything runs',
    examples: ['npx millrace stack status', 'npx millrace stack status --json']
  }).action(({ json, dataDir }: CommonOptions) => {
    const status = stackStatus(dataFolder(dataDir).stack)
    const state = stackState(status)
    print(terminal, json, { state, ...status }, () => renderStatus(status, terminal.colour))
    if (state !== 'up')
      throw new AppError('PIPE_STACK', `the stack is ${state}; start it with \`npx millrace stack up\``)
  })

  addCommand(group, {
    usage: 'wipe',
    description: 'stop the stack and delete all of its data',
    examples: ['npx millrace stack wipe --yes']
  })
    .option('--yes', 'really delete')
    .action(async ({ json, dataDir, yes }: CommonOptions & { yes?: boolean }) => {
      const folder = dataFolder(dataDir).stack
      if (yes !== true) throw new UsageError(`this deletes all data in ${folder}; add --yes to do it`)
      await stackWipe(folder)
      print(terminal, json, { wiped: folder }, () => `deleted ${folder}`)
    })
}

function renderStatus({ parts, launcherPid }: StackStatus, colour: boolean): string {
  const rows = parts.map(({ name, pid, port, logFile }) => [
    name,
    pid === undefined ? 'down' : 'up',
    port === undefined ? undefined : `127.0.0.1:${port}`,
    pid === undefined ? undefined : String(pid),
    logFile
  ])
  const table = toTable(['part', 'state', 'address', 'pid', 'log'], rows, colour)
  return launcherPid === undefined ? table : `${table}\nheld by process ${launcherPid}`
}
