// The command line tool as a process of its own, which may be killed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { repositoryRoot } from '@millrace/local-stack/layout'

/** How a command ended. */
export interface CliEnd {
  /** Null: a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  readonly errors: string
}

/** Runs `millrace <args>` with `env` added to the environment; resolves when it has ended, whatever way. */
export async function runCli(args: readonly string[], env: Readonly<Record<string, string>>): Promise<CliEnd> {
  const child = spawn(process.execPath, ['services/cli/src/main.ts', ...args], {
    cwd: repositoryRoot,
    // oxlint-disable-next-line node/no-process-env -- PATH and the like
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const [output, errors, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  ])
  return { code, signal, output, errors }
}
