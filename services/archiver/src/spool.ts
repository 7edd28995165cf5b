// A file in the making: rows collect in memory until they are a row group, groups go to a file that has no name, so that
// nothing of it is left when the process dies. Runs in the encoding thread.
import { createHash, randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs'
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
  const path = join(folder, `${randomUUID()}.parquet`)
  const fd = openSync(path, 'wx+', 0o600)
  unlinkSync(path)
  const hash = createHash('sha256')
  let fileBytes = 0
  const writer = createArchiveFileWriter((bytes) => {
    for (let at = 0; at < bytes.byteLength;) at += writeSync(fd, bytes, at, bytes.byteLength - at, fileBytes + at)
    hash.update(bytes)
    fileBytes += bytes.byteLength
  })
  // Packed records take half the memory of rows, so they become rows only when there are enough for a group.
  let blocks: Block[] = []
  let rows: OpenRow[] = []
  let packedRows = 0
  let memoryBytes = 0
  const unpack = (): void => {
    for (const block of blocks)
      for (const { offset, key, value, appendedAtMs, headers } of unpackBlock(block))
        rows.push({ topic, partition, offset, appendedAtMs, key, value, headers, event: undefined })
    blocks = []
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
      blocks.push(block)
      packedRows += block.count
      memoryBytes += block.content.byteLength + block.count * rowBytes
      if (rows.length + packedRows >= groupRows || memoryBytes >= groupBytes) {
        unpack()
        while (rows.length >= groupRows || (memoryBytes >= groupBytes && rows.length > 0)) {
          writeGroup()
          memoryBytes = rows.reduce((sum, { key, value }) => sum + sizeOf(key) + sizeOf(value) + rowBytes, 0)
        }
      }
      return { memoryBytes, fileBytes }
    },
    finish() {
      unpack()
      while (rows.length > 0) writeGroup()
      writer.finish()
      return { fd, bytes: fileBytes, sha256: hash.digest('hex') }
    },
    drop: () => closeSync(fd)
  }
}

/** A row whose event is read when its group is written. */
type OpenRow = Omit<ArchiveRow, 'event'> & { event: ArchivedEvent | undefined }

/** What a record costs beside its key and value. */
const rowBytes = 64

function sizeOf(bytes: Uint8Array | null): number {
  return bytes?.byteLength ?? 0
}

function eventOf({ value, ...place }: OpenRow): ArchivedEvent | undefined {
  const bytes = value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const dated = dateEvent({ ...place, value: bytes })
  return dated.ok ? toArchivedEvent(dated) : undefined
}
