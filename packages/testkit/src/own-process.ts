// A program of the machine that a test has for itself: it answers before the test goes on, and afterwards it is gone.
import { spawn } from 'node:child_process'
import type { StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { toError } from '@millrace/kernel'
import { eventually } from './eventually.ts'

export interface OwnProgram {
  /** For messages. */
  readonly name: string
  /** File and arguments. */
  readonly command: readonly string[]
  readonly cwd?: string
  /** Default: it reads nothing, and what it says is thrown away. */
  readonly stdio?: StdioOptions
  /** What ends it; default SIGKILL. */
  readonly ending?: NodeJS.Signals
  /** Removed when it is disposed. */
  readonly folder?: string
  /** What it has said, for the message when it ends too soon. */
  readonly log?: () => string
  /** Whether it can be used. */
  readonly answers: () => Promise<boolean>
}

/** Disposing ends it, waits for that, and removes its folder. */
export interface OwnProcess extends AsyncDisposable {
  send(signal: NodeJS.Signals): void
  /** Ends it and waits for that; its folder stays. */
  end(): Promise<void>
}

/** Starts a program; resolves when it answers. Throws when it ends before that or takes too long; nothing is left then. */
export async function startOwnProcess(program: OwnProgram): Promise<OwnProcess> {
  const { name, command, cwd, stdio = 'ignore', ending = 'SIGKILL', folder, log, answers } = program
  const [file = '', ...args] = command
  const child = spawn(file, args, { cwd, stdio })
  let isOver = false
  // `error`: there is no such program.
  const ended = once(child, 'exit')
    .then(() => undefined, toError)
    .finally(() => (isOver = true))
  const end = async (): Promise<void> => {
    child.kill(ending)
    await ended
  }
  const dispose = async (): Promise<void> => {
    await end()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }
  try {
    await eventually(`${name} answers`, async () => isOver || (await answers()))
    if (isOver) throw new Error(`${name} ended before it answered: ${log?.() ?? ''}`, { cause: await ended })
  } catch (error) {
    await dispose()
    throw error
  }
  return { send: (signal) => void child.kill(signal), end, [Symbol.asyncDispose]: dispose }
}
