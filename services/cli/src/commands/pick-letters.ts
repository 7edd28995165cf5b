// The options that pick dead letters.
import { letterConditions, letterFields } from '@millrace/operations/letter-filter'
import type { Command } from 'commander'
import type { CommonOptions } from '../context.ts'
import { UsageError } from '../output.ts'
import { timeOf } from '../time-option.ts'
import { several } from './command.ts'

/** Options of every command that picks letters. */
export interface PickOptions extends CommonOptions {
  readonly where: readonly string[]
  readonly since?: string
}

/** Adds `--where` and `--since`. */
export function withPicking(command: Command): Command {
  return command
    .option('--where <condition>', `${letterConditions}; may be repeated`, several, [])
    .option('--since <time>', 'only letters written since then, such as 2h or 2026-01-31T10:00:00Z')
    .addHelpText('after', `\nFields of --where: ${letterFields.join(', ')}`)
}

/** The time of `--since`. */
export function sinceOf(since: string | undefined, nowMs: number): { readonly sinceMs?: number } {
  return since === undefined ? {} : { sinceMs: timeOf('--since', since, nowMs) }
}

/** The whole number of an option. */
export function wholeOf(option: string, text: string, max: number): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 1 && value <= max) return value
  throw new UsageError(`${option} is a whole number from 1 to ${max}, not '${text}'`)
}
