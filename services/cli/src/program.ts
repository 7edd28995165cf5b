// The commands of the tool and what they share. Every command has --json, --data-dir and --help with examples.
import { Command } from 'commander'
import { addArchiveCommands } from './commands/archive.ts'
import { addAuditCommands } from './commands/audit.ts'
import { addDlqCommands } from './commands/dlq.ts'
import { addDoctorCommand } from './commands/doctor.ts'
import { addEpochCommands } from './commands/epoch.ts'
import { addIdentityCommands } from './commands/identity.ts'
import { addDropsCommands } from './commands/drops.ts'
import { addHotCommand } from './commands/hot.ts'
import { addKeysCommands } from './commands/keys.ts'
import { addLagCommand } from './commands/lag.ts'
import { addMetricsCommands } from './commands/metrics.ts'
import { addMigrateCommand } from './commands/migrate.ts'
import { addProjectsCommands } from './commands/projects.ts'
import { addReconcileCommand } from './commands/reconcile.ts'
import { addReplayCommands } from './commands/replay.ts'
import { addStackCommands } from './commands/stack.ts'
import { addStartCommand } from './commands/start.ts'
import { addSchemasCommands } from './commands/schemas.ts'
import { addTopicsCommands } from './commands/topics.ts'
import { addTrailCommand } from './commands/trail.ts'
import { addWarehouseCommands } from './commands/warehouse.ts'
import type { CliContext } from './context.ts'

/** The tool for `context`. `parseAsync` throws a CommanderError for --help and wrong use, else what a command threw. */
export function createProgram(context: CliContext): Command {
  const program = new Command('millrace')
    .description('Runs and manages a Millrace event pipeline.')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.terminal.out(text.trimEnd()),
      writeErr: (text) => context.terminal.error(text.trimEnd()),
      outputError: (text, write) => write(usageLine(text))
    })
    .addHelpText(
      'after',
      '\nCommands find the running stack by themselves; KAFKA_BROKERS, DATABASE_URL and the other\nsettings of the environment win over it.'
    )
  addStartCommand(program, context)
  addStackCommands(program, context)
  addMigrateCommand(program, context)
  addDoctorCommand(program, context)
  addTopicsCommands(program, context)
  addSchemasCommands(program, context)
  addProjectsCommands(program, context)
  addKeysCommands(program, context)
  addMetricsCommands(program, context)
  addEpochCommands(program, context)
  addArchiveCommands(program, context)
  addReplayCommands(program, context)
  addReconcileCommand(program, context)
  addTrailCommand(program, context)
  addIdentityCommands(program, context)
  addWarehouseCommands(program, context)
  addLagCommand(program, context)
  addHotCommand(program, context)
  addDropsCommands(program, context)
  addDlqCommands(program, context)
  addAuditCommands(program, context)
  return program
}

/** commander's complaint in our form. */
function usageLine(text: string): string {
  const complaint = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ')
  return `millrace: ${complaint} (--help shows the options and examples)`
}
