// The service processes of a run on disk: after a `kill -9` of the launcher they live on, and the next start must end
// exactly them.
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '@millrace/kernel'
import { endProcess, isAlive, isProcessRecord, recordOf } from './process-record.ts'
import type { ProcessRecord } from './process-record.ts'
import { hasFields, readState } from './state-file.ts'

/** A service process on disk. */
export type ServiceProcessRecord = ProcessRecord & { readonly name: string }

const fileOf = (folder: string): string => join(folder, 'services.json')

/**
 * Writes `<folder>/services.json` from what runs now. In one synchronous step after a spawn: a launcher that is killed
 * at any later moment has written down what it started.
 */
export function recordServices(folder: string, running: readonly { name: string; pid: number | undefined }[]): void {
  const records = running.flatMap(({ name, pid }) => {
    const record = pid === undefined ? undefined : recordOf(pid)
    return record === undefined ? [] : [{ name, ...record }]
  })
  writeFileSync(`${fileOf(folder)}.new`, `${JSON.stringify(records, undefined, 2)}\n`)
  renameSync(`${fileOf(folder)}.new`, fileOf(folder))
}

/**
 * Ends what `<folder>/services.json` names and still runs: SIGTERM, then SIGKILL after 5 s. The names it ended. The
 * caller must know that no living launcher owns the folder.
 */
export async function endStaleServices(folder: string, clock: Clock): Promise<readonly string[]> {
  const stale = runningServices(folder)
  await Promise.all(stale.map((record) => endProcess(record, { signal: 'SIGTERM', timeoutMs: 5_000, clock })))
  return stale.map(({ name }) => name)
}

/** The services of a folder that run now, whoever started them. */
export function runningServices(folder: string): readonly ServiceProcessRecord[] {
  return (readState(fileOf(folder), isRecordList) ?? []).filter(isAlive)
}

function isRecordList(value: unknown): value is readonly ServiceProcessRecord[] {
  return Array.isArray(value) && value.every((each) => isProcessRecord(each) && hasFields(each, { name: 'string' }))
}
