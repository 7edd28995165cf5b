// One launcher per data folder. The lock is a file that names its holder; a dead holder's lock is taken over.
import { randomUUID } from 'node:crypto'
import { readFileSync, renameSync } from 'node:fs'
import { link, rm, writeFile } from 'node:fs/promises'
import { AppError } from '@millrace/kernel'
import { layout } from './layout.ts'
import { isAlive, isProcessRecord, recordOf } from './process-record.ts'
import type { ProcessRecord } from './process-record.ts'
import { readState } from './state-file.ts'

/** Holds the folder until it is disposed. */
export interface StackLock extends AsyncDisposable {
  readonly holder: ProcessRecord
}

/** The live launcher that holds the folder, if there is one. */
export function lockHolder(dataDir: string): ProcessRecord | undefined {
  const record = readState(layout.lock(dataDir), isProcessRecord)
  return record !== undefined && isAlive(record) ? record : undefined
}

/** Takes the folder, from a dead holder too. Throws PIPE_STACK naming the live holder. The folder must exist. */
export async function takeLock(dataDir: string): Promise<StackLock> {
  const file = layout.lock(dataDir)
  const holder = recordOf(process.pid)
  if (holder === undefined) throw new AppError('PIPE_STACK', 'this process does not find itself in the process table')
  const own = `${file}.${randomUUID()}`
  await writeFile(own, JSON.stringify(holder), { mode: 0o600 })
  try {
    // A link either makes the whole file or fails: nobody ever reads half a lock.
    while (!(await tryLink(own, file))) await removeStale(dataDir, file)
  } finally {
    await rm(own, { force: true })
  }
  return { holder, [Symbol.asyncDispose]: () => rm(file, { force: true }) }
}

/** Moves a dead holder's lock away. The look and the move follow each other without a pause. */
async function removeStale(dataDir: string, file: string): Promise<void> {
  const before = textOf(file)
  const holder = lockHolder(dataDir)
  if (holder !== undefined) {
    const message = `the stack in ${dataDir} is run by process ${holder.pid}: stop that one first`
    throw new AppError('PIPE_STACK', message)
  }
  if (before === undefined) return
  const aside = `${file}.${randomUUID()}`
  try {
    renameSync(file, aside)
  } catch {
    // Another launcher moved it first.
    return
  }
  // It took over between our look and our move: it gets its lock back.
  if (textOf(aside) !== before) await tryLink(aside, file)
  await rm(aside, { force: true })
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}
