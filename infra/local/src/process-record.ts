// A process that we started, on disk: its pid with its start time, so that a later launcher ends exactly this process
// and never one that got the same pid.
import { readFile } from 'node:fs/promises'
import type { Clock } from '@millrace/kernel'
import { processStartedAt } from './process-identity.ts'
import { hasFields } from './state-file.ts'

export interface ProcessRecord {
  readonly pid: number
  readonly startedAt: string
}

/** Whether `value` is a record, whatever else it holds. */
export function isProcessRecord(value: unknown): value is ProcessRecord {
  return hasFields(value, { pid: 'number', startedAt: 'string' }) && Number.isInteger(value.pid)
}

/** The record of a process that runs now; undefined when it does not. */
export function recordOf(pid: number): ProcessRecord | undefined {
  const startedAt = processStartedAt(pid)
  return startedAt === undefined ? undefined : { pid, startedAt }
}

/** Whether the recorded process itself still runs. */
export function isAlive(record: ProcessRecord): boolean {
  return processStartedAt(record.pid) === record.startedAt
}

/** Sends a signal to the recorded process; false when it is gone. */
export function signalProcess(record: ProcessRecord, signal: NodeJS.Signals): boolean {
  if (!isAlive(record)) return false
  try {
    return process.kill(record.pid, signal)
  } catch {
    // It ended between the look and the signal.
    return false
  }
}

export interface EndOptions {
  readonly signal: NodeJS.Signals
  readonly timeoutMs: number
  readonly clock: Clock
}

/**
 * Ends a process: `signal`, and SIGKILL after `timeoutMs`. Resolves when it is gone, children that it left included.
 * A stopped process is continued, since it could not act on the signal otherwise.
 */
export async function endProcess(record: ProcessRecord, options: EndOptions): Promise<void> {
  if (!signalProcess(record, options.signal)) return
  signalProcess(record, 'SIGCONT')
  const deadline = options.clock.monotonic() + options.timeoutMs
  while (isAlive(record) && options.clock.monotonic() < deadline) await options.clock.sleep(15)
  if (!isAlive(record)) return
  const children = await childrenOf(record.pid)
  signalProcess(record, 'SIGKILL')
  for (const child of children) signalProcess(child, 'SIGKILL')
  while ([record, ...children].some(isAlive)) await options.clock.sleep(15)
}

async function childrenOf(pid: number): Promise<readonly ProcessRecord[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  const records = text
    .trim()
    .split(/\s+/)
    .filter(Boolean)
    .map((child) => recordOf(Number(child)))
  return records.filter((record) => record !== undefined)
}
