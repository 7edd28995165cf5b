import { createManualClock } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { createMemoryTerminal } from './memory-terminal.ts'
import { createProgram } from './program.ts'

/** What the tool prints for `args`, and the exit code of commander. */
async function help(args: readonly string[]): Promise<{ printed: string; exitCode: unknown }> {
  const terminal = createMemoryTerminal()
  const program = createProgram({ terminal, env: {}, clock: createManualClock() })
  const error: unknown = await program
    .parseAsync([...args, '--help'], { from: 'user' })
    .catch((thrown: unknown) => thrown)
  return { printed: terminal.printed(), exitCode: (error as { exitCode?: number }).exitCode }
}

const commands = [
  'start',
  'stack up',
  'stack down',
  'stack status',
  'stack wipe',
  'topics list',
  'topics ensure',
  'topics diff',
  'topics grow',
  'projects create',
  'projects list',
  'projects show',
  'projects set',
  'keys create',
  'keys list',
  'keys revoke',
  'identity explain',
  'identity merge',
  'identity undo',
  'lag',
  'hot',
  'drops add',
  'drops ls',
  'drops remove',
  'warehouse access',
  'replay plan',
  'replay start',
  'replay status',
  'replay abort',
  'reconcile',
  'trail'
]

describe('createProgram', () => {
  it.each(commands)('%s has --json, --data-dir and examples in its help', async (command) => {
    const { printed, exitCode } = await help(command.split(' '))
    expect(exitCode).toBe(0)
    expect(printed).toMatch(/--json[\s\S]*--data-dir <folder>[\s\S]*\nExamples:\n {2}(npx millrace|npm start)/)
  })

  it('names every group in its own help', async () => {
    const { printed } = await help([])
    for (const group of new Set(commands.map((command) => command.split(' ')[0] ?? ''))) {
      expect(printed).toMatch(new RegExp(`^  ${group} `, 'm'))
    }
  })
})
