// The service processes of a run on disk: after a `kill -9` of the launcher they live on, and the next start must end
// exactly them. A pid alone may belong to somebody else by then, so its start time is recorded with it.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '@millrace/kernel'
import { processStartedAt } from './process-identity.ts'

interface RecordedProcess {
  readonly name: string
  readonly pid: number
  readonly startedAt: string
}

/** Writes `<folder>/services.json` from what runs now. */
export function recordServices(folder: string, running: readonly { name: string; pid: number | undefined }[]): void {
  const processes: RecordedProcess[] = []
  for (const { name, pid } of running) {
    const startedAt = pid === undefined ? undefined : processStartedAt(pid)
    if (pid !== undefined && startedAt !== undefined) processes.push({ name, pid, startedAt })
  }
  const file = join(folder, 'services.json')
  writeFileSync(`${file}.new`, JSON.stringify(processes, undefined, 2))
  renameSync(`${file}.new`, file)
}

/** Ends what `<folder>/services.json` names and still runs: SIGTERM, then SIGKILL after 5 s. The names it ended. */
export async function endStaleServices(folder: string, clock: Clock): Promise<readonly string[]> {
  const stale = readRecord(folder).filter(isSame)
  for (const { pid } of stale) signal(pid, 'SIGTERM')
  const deadline = clock.monotonic() + 5_000
  while (stale.some(isSame) && clock.monotonic() < deadline) await clock.sleep(50)
  for (const { pid } of stale.filter(isSame)) signal(pid, 'SIGKILL')
  while (stale.some(isSame)) await clock.sleep(20)
  return stale.map(({ name }) => name)
}

function isSame({ pid, startedAt }: RecordedProcess): boolean {
  return processStartedAt(pid) === startedAt
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It ended by itself meanwhile.
  }
}

function readRecord(folder: string): RecordedProcess[] {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, 'services.json'), 'utf8'))
    return Array.isArray(value) ? value.filter(isRecorded) : []
  } catch {
    // No file, or one cut short by a crash while it was first written: nothing is known to run.
    return []
  }
}

function isRecorded(value: unknown): value is RecordedProcess {
  if (typeof value !== 'object' || value === null) return false
  const { name, pid, startedAt } = value as Partial<Record<keyof RecordedProcess, unknown>>
  return typeof name === 'string' && Number.isInteger(pid) && typeof startedAt === 'string'
}
