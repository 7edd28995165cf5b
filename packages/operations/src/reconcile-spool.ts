// Lines on disk in classes, each of which fits into memory: what is compared is as large as the log.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { AppError, toError } from '@millrace/kernel'

export interface Spool extends AsyncDisposable {
  readonly classes: number
  /** Keeps `line` (without line ends) in the class of `key`. Throws PIPE_INVALID_INPUT over `maxBytes`. */
  add(side: SpoolSide, key: string, line: string): void
  /** The lines of one class in the order in which they came. */
  read(side: SpoolSide, index: number): readonly string[]
}

/** `log`: what was written. `there`: what is found. */
export type SpoolSide = 'log' | 'there'

export interface SpoolOptions {
  readonly folder: string
  readonly classes: number
  /** Of all lines together. */
  readonly maxBytes: number
}

/** Lines are written when this many characters of one class have come together. */
const bufferChars = 16 * 1024
const prefix = 'millrace-reconcile-'

/**
 * Makes files in a folder of their own below `folder`, which is removed with the spool. Throws PIPE_SPOOL_UNAVAILABLE when
 * the disk is full or broken, here and at each use.
 */
export async function openSpool({ folder: parent, classes, maxBytes }: SpoolOptions): Promise<Spool> {
  const folder = await mkdtemp(join(parent, `${prefix}${process.pid}-`)).catch(noDisk)
  const open = (side: SpoolSide): SpoolFile[] =>
    Array.from({ length: classes }, (_, index) => openFile(join(folder, `${side}-${index}`)))
  const files = { log: open('log'), there: open('there') }
  let bytes = 0
  return {
    classes,
    add(side, key, line) {
      // Lines are ASCII but for types of events, which are short.
      bytes += line.length + 1
      if (bytes > maxBytes)
        throw new AppError('PIPE_INVALID_INPUT', `the keys take more than ${maxBytes} bytes; compare a shorter time`)
      files[side][crc32(key) % classes]?.add(line)
    },
    read: (side, index) => files[side][index]?.lines() ?? [],
    async [Symbol.asyncDispose]() {
      for (const file of [...files.log, ...files.there]) file.close()
      await rm(folder, { recursive: true, force: true })
    }
  }
}

/**
 * Removes what spools of processes that were killed left in `folder`. Only before the first spool of this process: a folder
 * with its number is of an earlier one, which had the same.
 */
export async function removeLeftSpools(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(prefix)) continue
    const pid = Number(name.slice(prefix.length).split('-')[0])
    if (pid === process.pid || !isRunning(pid)) await rm(join(folder, name), { recursive: true, force: true })
  }
}

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

interface SpoolFile {
  add(line: string): void
  lines(): readonly string[]
  close(): void
}

function openFile(path: string): SpoolFile {
  const handle = onDisk(() => openSync(path, 'w+'))
  let waiting = ''
  const flush = (): void => {
    if (waiting !== '') onDisk(() => writeSync(handle, waiting))
    waiting = ''
  }
  return {
    add(line) {
      waiting += `${line}\n`
      if (waiting.length >= bufferChars) flush()
    },
    lines() {
      flush()
      const text = onDisk(() => readFileSync(path, 'utf8'))
      return text === '' ? [] : text.slice(0, -1).split('\n')
    },
    close: () => closeSync(handle)
  }
}

function onDisk<T>(use: () => T): T {
  try {
    return use()
  } catch (error) {
    return noDisk(error)
  }
}

function noDisk(error: unknown): never {
  throw new AppError('PIPE_SPOOL_UNAVAILABLE', `files of the comparison: ${toError(error).message}`, { cause: error })
}
