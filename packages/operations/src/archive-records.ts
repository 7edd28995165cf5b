// The records that a file of the archive holds, as every sink takes them.
import { createHash } from 'node:crypto'
import type { RawRecord } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { readArchiveFile } from '@millrace/stores/archive-file'
import type { ArchiveFile } from '@millrace/stores/archive-manifest'
import type { ArchiveRow } from '@millrace/stores/archive-rows'
import type { ObjectStore } from '@millrace/stores/object-store'

/**
 * The records of `file`, some at a time; one file is in memory. Throws PIPE_NOT_FOUND when it is not there,
 * PIPE_INVALID_INPUT when it is not what was archived, PIPE_OBJECTS_UNAVAILABLE.
 */
export async function* readArchivedRecords(
  objects: Pick<ObjectStore, 'get'>,
  { key, sha256 }: Pick<ArchiveFile, 'key' | 'sha256'>
): AsyncIterable<readonly RawRecord[]> {
  const bytes = await objects.get(key)
  if (createHash('sha256').update(bytes).digest('hex') !== sha256)
    throw new AppError('PIPE_INVALID_INPUT', 'it is not the file that was archived')
  for await (const group of readArchiveFile(bytes)) yield group.map(toRawRecord)
}

function toRawRecord({ topic, partition, offset, appendedAtMs, value }: ArchiveRow): RawRecord {
  const bytes = value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return { topic, partition, offset, appendedAtMs, value: bytes }
}
