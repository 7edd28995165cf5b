// What every command looks like.
import { Option } from 'commander'
import type { Command } from 'commander'
import { defaultDataDir } from '../context.ts'

export interface CommandText {
  /** Name and arguments, as commander writes them: `create <projectId>`. */
  readonly usage: string
  readonly description: string
  /** Whole command lines. */
  readonly examples: readonly string[]
}

/** A command below `parent` with the options that all have and its examples in the help. */
export function addCommand(parent: Command, { usage, description, examples }: CommandText): Command {
  return parent
    .command(usage)
    .description(description)
    .option('--json', 'print JSON')
    .addOption(new Option('--data-dir <folder>', 'folder of the local pipeline').default(defaultDataDir, '.millrace'))
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}`)
}

/** A group of commands such as `topics`. */
export function addGroup(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description).helpCommand(false)
}

/** The values of an option that may be repeated, so far. */
export function several(text: string, before: readonly string[]): readonly string[] {
  return [...before, text]
}
