// The command line tool. Wiring only: the real terminal, environment and clock, and the exit code.
import { CommanderError } from 'commander'
import { systemClock } from '@millrace/kernel'
import { createTerminal, errorLine, exitCodeOf } from './output.ts'
import { createProgram } from './program.ts'

const terminal = createTerminal(process, process.env)
// A reader that went away (`millrace ... | head`) is not an error.
process.stdout.on('error', () => process.exit(0))
try {
  await createProgram({ terminal, env: process.env, clock: systemClock }).parseAsync(process.argv)
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else {
    terminal.error(errorLine(error))
    if (process.env['MILLRACE_DEBUG'] === '1' && error instanceof Error) terminal.error(String(error.stack))
    process.exitCode = exitCodeOf(error)
  }
}
