// Lines on disk in classes, each of which fits into memory: what is compared is as large as the log.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

export interface Spool extends AsyncDisposable {
  readonly classes: number
  /** Keeps `line` (without line ends) in the class of `key`. */
  add(side: SpoolSide, key: string, line: string): void
  /** The lines of one class in the order in which they came. */
  read(side: SpoolSide, index: number): readonly string[]
}

/** `log`: what was written. `there`: what is found. */
export type SpoolSide = 'log' | 'there'

/** Lines are written when this many characters of one class have come together. */
const bufferChars = 64 * 1024

/** Makes files for `classes` classes in a folder of their own, which is removed with the spool. */
export async function openSpool(classes: number): Promise<Spool> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-reconcile-'))
  const open = (side: SpoolSide): SpoolFile[] =>
    Array.from({ length: classes }, (_, index) => openFile(join(folder, `${side}-${index}`)))
  const files = { log: open('log'), there: open('there') }
  return {
    classes,
    add: (side, key, line) => files[side][crc32(key) % classes]?.add(line),
    read: (side, index) => files[side][index]?.lines() ?? [],
    async [Symbol.asyncDispose]() {
      for (const file of [...files.log, ...files.there]) file.close()
      await rm(folder, { recursive: true, force: true })
    }
  }
}

interface SpoolFile {
  add(line: string): void
  lines(): readonly string[]
  close(): void
}

function openFile(path: string): SpoolFile {
  const handle = openSync(path, 'w+')
  let waiting = ''
  const flush = (): void => {
    if (waiting !== '') writeSync(handle, waiting)
    waiting = ''
  }
  return {
    add(line) {
      waiting += `${line}\n`
      if (waiting.length >= bufferChars) flush()
    },
    lines() {
      flush()
      const text = readFileSync(path, 'utf8')
      return text === '' ? [] : text.slice(0, -1).split('\n')
    },
    close: () => closeSync(handle)
  }
}
