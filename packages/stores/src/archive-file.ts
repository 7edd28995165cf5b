// The Parquet form of the archive: one flat row per record, zstd, any bytes. Written group by group, so that a file in
// the making needs no more memory than one group; read back by our own tools and by anything that reads Parquet.
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import type { SchemaElement } from 'hyparquet'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { AppError } from '@millrace/kernel'
import type { ArchivedEvent, ArchiveRow } from './archive-rows.ts'

const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } } as const
const time = {
  type: 'INT64',
  converted_type: 'TIMESTAMP_MILLIS',
  logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' }
} as const

interface Column {
  readonly element: SchemaElement
  /** Without one the writer looks for repeated values first, which costs time where there are none. */
  readonly encoding?: 'DELTA_BINARY_PACKED' | 'PLAIN'
  /** Smallest and largest value in the file's footer, by which readers leave out row groups. */
  readonly statistics: boolean
  readonly of: (row: ArchiveRow) => unknown
}

const required = { repetition_type: 'REQUIRED' } as const
const optional = { repetition_type: 'OPTIONAL' } as const
const plain = { encoding: 'PLAIN' } as const
const delta = { encoding: 'DELTA_BINARY_PACKED' } as const

/** An optional text of the event; absent members of an event are empty in its row. */
function eventText(name: 'eventId' | 'eventType' | 'userId' | 'anonymousId' | 'sessionId'): Column {
  return {
    element: { name, ...text, ...optional },
    ...(name === 'eventId' ? plain : {}),
    statistics: name === 'eventType',
    of: ({ event }) => (event === undefined || event[name] === '' ? null : event[name])
  }
}

function eventTime(name: 'timestamp' | 'receivedAt'): Column {
  return {
    element: { name, ...time, ...optional },
    statistics: true,
    of: ({ event }) => (event === undefined ? null : BigInt(event[name]))
  }
}

/** Additive only: readers name the columns they want. */
const columns: readonly Column[] = [
  { element: { name: 'topic', ...text, ...required }, statistics: true, of: ({ topic }) => topic },
  { element: { name: 'partition', type: 'INT32', ...required }, statistics: true, of: ({ partition }) => partition },
  { element: { name: 'offset', type: 'INT64', ...required }, ...delta, statistics: true, of: ({ offset }) => offset },
  {
    element: { name: 'appendedAt', ...time, ...required },
    ...delta,
    statistics: true,
    of: ({ appendedAtMs }) => BigInt(appendedAtMs)
  },
  { element: { name: 'key', type: 'BYTE_ARRAY', ...optional }, ...plain, statistics: false, of: ({ key }) => key },
  { element: { name: 'headers', ...text, ...required }, statistics: false, of: ({ headers }) => headers },
  {
    element: { name: 'value', type: 'BYTE_ARRAY', ...optional },
    ...plain,
    statistics: false,
    of: ({ value }) => value
  },
  eventText('eventId'),
  eventText('eventType'),
  eventText('userId'),
  eventText('anonymousId'),
  eventText('sessionId'),
  eventTime('timestamp'),
  eventTime('receivedAt')
]

const schema: SchemaElement[] = [
  { name: 'archive', num_children: columns.length },
  ...columns.map(({ element }) => element)
]

export interface ArchiveFileWriter {
  /** Appends one row group. Throws what `sink` throws; the file is void then. */
  group(rows: readonly ArchiveRow[]): void
  /** Writes the footer. */
  finish(): void
}

/** A file in the making; `sink` gets its bytes in order and must be done with them when it returns. */
export function createArchiveFileWriter(sink: (bytes: Uint8Array) => void, level = 1): ArchiveFileWriter {
  const bytes = new ByteWriter(firstBytes)
  const flush = (): void => {
    if (bytes.index > 0) sink(bytes.getBytes())
    bytes.index = 0
    // A process has many files in the making; none of them keeps the room of its largest group.
    if (bytes.buffer.byteLength > firstBytes) {
      bytes.buffer = new ArrayBuffer(firstBytes)
      bytes.view = new DataView(bytes.buffer)
    }
  }
  const writer = new ParquetWriter({
    writer: Object.assign(bytes, { flush, finish: flush }),
    schema,
    codec: 'ZSTD',
    compressors: { ZSTD: (input) => compress(input, level) },
    createdBy: 'millrace',
    kvMetadata: [{ key: versionKey, value: version }]
  })
  return {
    group(rows) {
      const columnData = columns.map(({ element, encoding, statistics, of }) => ({
        name: element.name,
        data: rows.map(of),
        statistics,
        ...(encoding === undefined ? {} : { encoding })
      }))
      void writer.write({ columnData, rowGroupSize: Math.max(1, rows.length) })
    },
    finish: () => void writer.finish()
  }
}

/** Output in one piece: left alone the library makes pieces of 16 KiB and joins them. */
function compress(input: Uint8Array, level: number): Buffer {
  const chunkSize = Math.min(1024 ** 2, Math.max(1024, input.byteLength))
  return zstdCompressSync(input, { chunkSize, params: { [zstdLevel]: level } })
}

/** In the footer of every file. Columns may be added under a version; anything else is a new one. */
const versionKey = 'millrace.archive'
const version = '1'

/** Room for encoded bytes; a group makes it larger for its time. */
const firstBytes = 64 * 1024

/** ZSTD_c_compressionLevel. */
const zstdLevel = 100

/** The compressors that archive files use, for readers. */
const compressors = { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) }

/**
 * The rows of an archive file, one group after the other. Throws PIPE_INVALID_INPUT when the bytes are no archive file, or
 * one of a version that this reader does not know.
 */
export async function* readArchiveFile(bytes: Uint8Array): AsyncIterable<readonly ArchiveRow[]> {
  // A copy-free view would hand out the whole pool of a small Buffer.
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
  try {
    const metadata = await parquetMetadataAsync(file)
    checkVersion(metadata.key_value_metadata?.find(({ key }) => key === versionKey)?.value)
    let rowStart = 0
    for (const { num_rows: count } of metadata.row_groups) {
      const rowEnd = rowStart + Number(count)
      const raw = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd, utf8: false })
      yield raw.map(toRow)
      rowStart = rowEnd
    }
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('PIPE_INVALID_INPUT', 'the bytes are not an archive file', { cause: error })
  }
}

function checkVersion(found: string | undefined): void {
  if (found === version) return
  const problem =
    found === undefined ? 'Parquet, but no archive file' : `an archive file of version ${found}, not ${version}`
  throw new AppError('PIPE_INVALID_INPUT', `the bytes are ${problem}`)
}

function toRow(raw: Record<string, unknown>): ArchiveRow {
  return {
    topic: String(raw['topic']),
    partition: Number(raw['partition']),
    offset: BigInt(raw['offset'] as bigint | number),
    appendedAtMs: timeOf(raw['appendedAt']),
    key: bytesOf(raw['key']),
    value: bytesOf(raw['value']),
    headers: String(raw['headers']),
    event: raw['eventId'] === undefined || raw['eventId'] === null ? undefined : toEvent(raw)
  }
}

function toEvent(raw: Record<string, unknown>): ArchivedEvent {
  const member = (name: string): string => (typeof raw[name] === 'string' ? raw[name] : '')
  return {
    eventId: member('eventId'),
    eventType: member('eventType'),
    userId: member('userId'),
    anonymousId: member('anonymousId'),
    sessionId: member('sessionId'),
    timestamp: timeOf(raw['timestamp']),
    receivedAt: timeOf(raw['receivedAt'])
  }
}

function timeOf(value: unknown): number {
  return value instanceof Date ? value.getTime() : Number(value)
}

function bytesOf(value: unknown): Uint8Array | null {
  return value instanceof Uint8Array ? value : null
}
