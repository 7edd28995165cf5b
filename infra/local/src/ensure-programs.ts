// The first step of every command that needs the stack: what is missing is installed, or named in one line.
import { AppError } from '@millrace/kernel'
import { canInstall, installLine, installPrograms, missingPrograms, runCommand } from './system-packages.ts'
import type { TestProgram } from './system-packages.ts'

export interface EnsureOptions {
  /** Told before each step, one line each. */
  readonly log: (line: string) => void
  /** What is needed besides the programs of the stack. */
  readonly more?: readonly TestProgram[]
}

/**
 * Returns when Java 17+, Maven, Redis, PostgreSQL and the programs of `more` are on the machine. On Debian as root what is missing is
 * installed, with one `log` line per step; elsewhere PIPE_STACK names what is missing and the line to run.
 */
export async function ensurePrograms({ log, more = [] }: EnsureOptions): Promise<void> {
  const missing = await missingPrograms(runCommand, more)
  if (missing.length === 0) return
  if (!(await canInstall(process.getuid?.() ?? -1))) {
    throw new AppError('PIPE_STACK', `missing on this machine: ${missing.join(', ')}. Run: ${installLine(missing)}`)
  }
  log(`missing on this machine: ${missing.join(', ')}`)
  await installPrograms(missing, { log })
  const still = await missingPrograms(runCommand, more)
  if (still.length > 0) throw new AppError('PIPE_STACK', `still missing after the installation: ${still.join(', ')}`)
  log('everything is in place')
}
