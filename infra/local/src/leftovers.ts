// Parts that run without a launcher: after `kill -9` of it, or left in the background on purpose.
import type { Clock } from '@millrace/kernel'
import { layout, stackMark } from './layout.ts'
import { findMarked } from './marked-processes.ts'
import { partNamesOf } from './part.ts'
import type { PartName } from './part.ts'
import { rm } from 'node:fs/promises'
import { endProcess, isAlive, isProcessRecord, recordOf } from './process-record.ts'
import type { ProcessRecord } from './process-record.ts'
import { hasFields, readState } from './state-file.ts'
import type { PortName } from './ports.ts'

/** A part that runs, as its record says. */
export interface RunningPart extends ProcessRecord {
  readonly name: PartName
  readonly ports: Readonly<Partial<Record<PortName, number>>>
}

/** What runs of a data folder, whoever started it. */
export function runningParts(dataDir: string): readonly RunningPart[] {
  return partNamesOf(3)
    .map((name) => readState(layout.record(dataDir, name), isRunningPart))
    .filter((record) => record !== undefined && isAlive(record))
    .filter((record) => record !== undefined)
}

// The order in which parts end, and how each is asked; the same as of a living launcher (parts.ts).
const ends: readonly (readonly [PartName, NodeJS.Signals])[] = [
  ['clickhouse', 'SIGTERM'],
  ['redis-cache', 'SIGTERM'],
  ['redis-state', 'SIGTERM'],
  ['redis-dedup', 'SIGTERM'],
  ['postgres', 'SIGINT'],
  ['kafka-3', 'SIGTERM'],
  ['kafka-2', 'SIGTERM'],
  ['kafka', 'SIGTERM']
]

/** Ends in order what still runs of a data folder and removes the records. The names it ended. */
export async function endLeftovers(
  dataDir: string,
  { clock, log }: { clock: Clock; log: (line: string) => void }
): Promise<readonly PartName[]> {
  const running = runningParts(dataDir)
  if (running.length > 0) log(`ending what an earlier run left: ${running.map(({ name }) => name).join(', ')}`)
  for (const [name, signal] of ends) {
    const record = running.find((part) => part.name === name)
    if (record !== undefined) await endProcess(record, { signal, timeoutMs: 15_000, clock })
    await rm(layout.record(dataDir, name), { force: true })
  }
  for (const { pid } of findMarked([`MILLRACE_STACK=${stackMark(dataDir).MILLRACE_STACK}`])) {
    const record = recordOf(pid)
    if (record !== undefined) await endProcess(record, { signal: 'SIGTERM', timeoutMs: 15_000, clock })
  }
  return running.map(({ name }) => name)
}

function isRunningPart(value: unknown): value is RunningPart {
  return isProcessRecord(value) && hasFields(value, { name: 'string', ports: 'object' })
}
