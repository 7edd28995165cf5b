// Starts and stops one part as a process of its own. What runs is known from the record on disk alone, so a launcher,
// a test in another process and the next start after a crash all act on the same process.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { layout, stackMark } from './layout.ts'
import type { Command, Part } from './part.ts'
import { endProcess, isAlive, isProcessRecord, recordOf, signalProcess } from './process-record.ts'
import type { ProcessRecord } from './process-record.ts'
import { readState, writeState } from './state-file.ts'

/** How a part ended without being asked to: `exit code 1` or a signal. */
export type PartExit = (name: Part['name'], how: string) => void

export interface RunnerOptions {
  readonly dataDir: string
  readonly clock: Clock
  readonly onExit: PartExit
}

/** One part under control. */
export interface PartRunner {
  readonly part: Part
  readonly logFile: string
  /** The running process, if there is one. */
  current(): ProcessRecord | undefined
  /** Prepares, starts, and resolves when the part answers. Throws PIPE_STACK with the end of its log otherwise. */
  start(signal: AbortSignal): Promise<void>
  /** Orderly end, SIGKILL after the part's deadline; resolves when the process is gone. */
  stop(): Promise<void>
  /** Sends a signal; false when the part does not run. */
  kill(signal: NodeJS.Signals): boolean
}

const askEveryMs = 25
const maxLogBytes = 20_000_000

/** Controls `part`; starts nothing. */
export function createPartRunner(part: Part, { dataDir, clock, onExit }: RunnerOptions): PartRunner {
  const recordFile = layout.record(dataDir, part.name)
  const logFile = layout.log(dataDir, part.name)
  let asked = false

  const current = (): ProcessRecord | undefined => {
    const record = readState(recordFile, isProcessRecord)
    return record !== undefined && isAlive(record) ? record : undefined
  }

  const launch = async (command: Command): Promise<ChildProcess> => {
    const log = await open(logFile, 'a')
    try {
      // A session of its own: Ctrl-C on the terminal reaches the launcher alone, which stops the parts in order.
      const child = spawn(command.file, command.args, {
        cwd: command.cwd,
        // A launcher killed between this line and the record leaves a part that only its mark tells.
        env: { ...process.env, ...stackMark(dataDir) },
        detached: true,
        stdio: ['ignore', log.fd, log.fd]
      })
      child.once('exit', (code, name) => {
        if (!asked) onExit(part.name, name ?? `exit code ${code}`)
      })
      child.unref()
      await spawned(child, command.file)
      const record = recordOf(child.pid ?? 0)
      if (record !== undefined) await writeState(recordFile, { ...record, name: part.name, ports: part.ports })
      return child
    } finally {
      await log.close()
    }
  }

  const untilReady = async (child: ChildProcess, signal: AbortSignal): Promise<boolean> => {
    const deadline = clock.monotonic() + part.startTimeoutMs
    while (clock.monotonic() < deadline) {
      signal.throwIfAborted()
      if (child.exitCode !== null || child.signalCode !== null) return false
      if (await part.answers().catch(() => false)) return true
      await clock.sleep(askEveryMs)
    }
    throw new AppError(
      'PIPE_STACK',
      `${part.name} did not answer within ${part.startTimeoutMs} ms; ${await logEnd(logFile)}`
    )
  }

  return {
    part,
    logFile,
    current,
    async start(signal) {
      asked = true
      await mkdir(layout.logs(dataDir), { recursive: true })
      await rotate(logFile)
      for (let attempt = 1; ; attempt++) {
        const child = await launch(await part.prepare(signal))
        if (await untilReady(child, signal)) break
        if (attempt >= part.startAttempts) {
          throw new AppError('PIPE_STACK', `${part.name} ended during its start; ${await logEnd(logFile)}`)
        }
        await clock.sleep(500)
      }
      asked = false
    },
    async stop() {
      asked = true
      const record = current()
      const end = { signal: part.stopSignal, timeoutMs: part.stopTimeoutMs, clock }
      if (record !== undefined) await endProcess(record, end)
      await rm(recordFile, { force: true })
    },
    kill(signal) {
      asked = true
      const record = current()
      return record !== undefined && signalProcess(record, signal)
    }
  }
}

function spawned(child: ChildProcess, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error) => reject(new AppError('PIPE_STACK', `could not run ${file}`, { cause: error })))
  })
}

/** Its last lines, and before them the last errors: a broker that cannot go on logs its orderly end after the reason. */
async function logEnd(logFile: string): Promise<string> {
  const lines = (await readFile(logFile, 'utf8').catch(() => '')).trim().split('\n')
  const errors = lines.slice(0, -8).filter((line) => /\b(?:ERROR|FATAL|PANIC)\b|^Caused by: /.test(line))
  return `its log ${logFile} ends:\n${[...errors.slice(-4), ...lines.slice(-8)].join('\n')}`
}

async function rotate(logFile: string): Promise<void> {
  const size = await stat(logFile).then(
    (stats) => stats.size,
    () => 0
  )
  if (size > maxLogBytes) await rename(logFile, `${logFile}.old`)
}
