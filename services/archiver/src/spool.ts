// A file in the making: packed records collect in one file until they are a row group, groups go to another one. Neither
// has a name, so nothing of them is left when the process dies; and memory holds one group, however many partitions there
// are. Runs in the encoding thread.
import { createHash, randomUUID } from 'node:crypto'
import { closeSync, ftruncateSync, mkdirSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { dateEvent } from '@millrace/contracts'
import { createArchiveFileWriter } from '@millrace/stores/archive-file'
import { toArchivedEvent } from '@millrace/stores/archive-rows'
import type { ArchivedEvent, ArchiveRow } from '@millrace/stores/archive-rows'
import { unpackBlock } from './block.ts'
import type { Block } from './block.ts'

/** What a file in the making occupies. */
export interface Held {
  readonly memoryBytes: number
  readonly fileBytes: number
}

/** A file that is complete; its bytes are read through the descriptor. */
export interface SpooledFile {
  readonly fd: number
  readonly bytes: number
  readonly sha256: string
}

export interface SpoolOptions {
  readonly folder: string
  readonly topic: string
  readonly partition: number
  readonly groupRows: number
  /** A group of large records is written before it has `groupRows`. */
  readonly groupBytes: number
}

export interface Spool {
  /** Throws what the file system throws; the spool is void then. */
  append(block: Block): Held
  finish(): SpooledFile
  /** Closes the file, which ends it. */
  drop(): void
}

/** Begins a file in `folder`, which is made when it is missing. */
export function openSpool(options: SpoolOptions): Spool {
  const { folder, topic, partition, groupRows, groupBytes } = options
  mkdirSync(folder, { recursive: true })
  const fd = openNameless(folder)
  const packedFd = openBeside(fd, folder)
  const hash = createHash('sha256')
  let fileBytes = 0
  const writer = createArchiveFileWriter((bytes) => {
    writeAll(fd, bytes, fileBytes)
    hash.update(bytes)
    fileBytes += bytes.byteLength
  })
  let packed: PackedBlock[] = []
  let packedBytes = 0
  let packedRows = 0
  let rows: OpenRow[] = []
  const pack = ({ content, ...block }: Block): void => {
    writeAll(packedFd, content, packedBytes)
    packed.push({ ...block, at: packedBytes, bytes: content.byteLength })
    packedBytes += content.byteLength
    packedRows += block.count
  }
  const unpack = (): void => {
    for (const { at, bytes, ...block } of packed)
      for (const record of unpackBlock({ ...block, content: readAll(packedFd, at, bytes) }))
        rows.push({ topic, partition, ...record, event: undefined })
    ftruncateSync(packedFd)
    packed = []
    packedBytes = 0
    packedRows = 0
  }
  const writeGroup = (): void => {
    const group = rows.slice(0, groupRows)
    rows = rows.slice(groupRows)
    for (const row of group) row.event = eventOf(row)
    writer.group(group)
  }
  return {
    append(block) {
      pack(block)
      if (rows.length + packedRows >= groupRows || sizeOfRows(rows) + packedBytes >= groupBytes) {
        unpack()
        while (rows.length >= groupRows || (rows.length > 0 && sizeOfRows(rows) >= groupBytes)) writeGroup()
      }
      return { memoryBytes: sizeOfRows(rows) + packedRows * rowBytes, fileBytes: fileBytes + packedBytes }
    },
    finish() {
      unpack()
      while (rows.length > 0) writeGroup()
      writer.finish()
      return { fd, bytes: fileBytes, sha256: hash.digest('hex') }
    },
    drop() {
      closeSync(fd)
      closeSync(packedFd)
    }
  }
}

/** Records in the file of packed ones: all of a block but its content. */
type PackedBlock = Omit<Block, 'content'> & { readonly at: number; readonly bytes: number }

function openNameless(folder: string): number {
  const path = join(folder, `${randomUUID()}.part`)
  const fd = openSync(path, 'wx+', 0o600)
  unlinkSync(path)
  return fd
}

function openBeside(fd: number, folder: string): number {
  try {
    return openNameless(folder)
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.byteLength;) at += writeSync(fd, bytes, at, bytes.byteLength - at, position + at)
}

function readAll(fd: number, position: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length;) {
    const read = readSync(fd, bytes, at, length - at, position + at)
    if (read === 0) throw new Error('a file of packed records is shorter than what was written to it')
    at += read
  }
  return bytes
}

/** A row whose event is read when its group is written. */
type OpenRow = Omit<ArchiveRow, 'event'> & { event: ArchivedEvent | undefined }

/** What a record costs beside its key and value. */
const rowBytes = 64

function sizeOfRows(rows: readonly OpenRow[]): number {
  return rows.reduce((sum, { key, value }) => sum + (key?.byteLength ?? 0) + (value?.byteLength ?? 0) + rowBytes, 0)
}

function eventOf({ value, ...place }: OpenRow): ArchivedEvent | undefined {
  const bytes = value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const dated = dateEvent({ ...place, value: bytes })
  return dated.ok ? toArchivedEvent(dated) : undefined
}
