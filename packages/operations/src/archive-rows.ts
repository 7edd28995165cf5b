// The rows of the archive as text, for people and pipes.
import { isUtf8 } from 'node:buffer'
import { AppError } from '@millrace/kernel'
import { readArchiveFile } from '@millrace/stores/archive-file'
import { parseArchiveKey } from '@millrace/stores/archive-key'
import type { ArchiveManifest } from '@millrace/stores/archive-manifest'
import type { ArchiveRow } from '@millrace/stores/archive-rows'
import type { ObjectStore } from '@millrace/stores/object-store'

export interface CatDeps {
  readonly manifest: Pick<ArchiveManifest, 'files' | 'allHeads'>
  readonly objects: Pick<ObjectStore, 'get'>
}

/** Offsets of one partition, both included; without an end up to the head. */
export interface CatRange {
  readonly topic: string
  readonly partition: number
  readonly from: bigint
  readonly to: bigint | undefined
}

/** The rows of one file. Throws PIPE_INVALID_INPUT for a key that is none, PIPE_NOT_FOUND for a file that is not there. */
export async function* catFile({ objects }: Pick<CatDeps, 'objects'>, key: string): AsyncIterable<string> {
  if (parseArchiveKey(key) === undefined)
    throw new AppError('PIPE_INVALID_INPUT', `'${key}' does not name an archive file`)
  for await (const group of readArchiveFile(await objects.get(key))) for (const row of group) yield toJsonLine(row)
}

/** The rows of a range, of the newest epoch. Throws PIPE_NOT_FOUND when the partition has no archive. */
export async function* catRange({ manifest, objects }: CatDeps, range: CatRange): AsyncIterable<string> {
  const { topic, partition, from, to } = range
  const head = (await manifest.allHeads({ topic, partition })).at(-1)
  if (head === undefined) throw new AppError('PIPE_NOT_FOUND', `${topic}:${partition} has no archive`)
  const end = to ?? head.position - 1n
  for (const { first, last, key } of await manifest.files({ topic, partition, epoch: head.epoch })) {
    if (last < from || first > end) continue
    for await (const group of readArchiveFile(await objects.get(key)))
      for (const row of group) if (row.offset >= from && row.offset <= end) yield toJsonLine(row)
  }
}

/** A row as one line: bytes are text where they are UTF-8, else `{"base64": ...}`. */
export function toJsonLine({ topic, partition, offset, appendedAtMs, key, headers, value, event }: ArchiveRow): string {
  const place = { topic, partition, offset: Number(offset), appendedAt: new Date(appendedAtMs).toISOString() }
  const names = event === undefined ? {} : { eventId: event.eventId, eventType: event.eventType }
  const content = JSON.stringify({ key: toText(key), value: toText(value), ...names })
  // The headers are JSON already.
  return `${JSON.stringify(place).slice(0, -1)},"headers":${headers},${content.slice(1)}`
}

function toText(bytes: Uint8Array | null): unknown {
  if (bytes === null) return null
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer) ? buffer.toString('utf8') : { base64: buffer.toString('base64') }
}
