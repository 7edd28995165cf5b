// The names of archive files: what they hold is in the name, so the store alone can be read and checked. Pure.
import { parseTopic } from '@millrace/contracts'
import type { ArchivedLog } from './archive-manifest.ts'

export const archivePrefix = 'archive/'

/** What a file's name says of it; both offsets belong to the range. */
export interface NamedRange extends ArchivedLog {
  readonly first: bigint
  readonly last: bigint
  readonly sha256: string
}

/** `archive/{project}/{topic}/{partition}/{epoch}/{first}-{last}-{sha256}.parquet`, offsets with 20 digits. */
export function archiveKey({ topic, partition, epoch, first, last, sha256 }: NamedRange): string {
  const project = parseTopic(topic)?.parameter ?? '_'
  return `${archivePrefix}${project}/${topic}/${partition}/${epoch}/${pad(first)}-${pad(last)}-${sha256}.parquet`
}

/** The range that `key` names; undefined when it is not the name of an archive file. */
export function parseArchiveKey(key: string): NamedRange | undefined {
  const match = /^archive\/[^/]+\/([^/]+)\/(\d{1,9})\/(\d{1,9})\/(\d{20})-(\d{20})-([0-9a-f]{64})\.parquet$/.exec(key)
  if (match === null) return undefined
  const [, topic = '', partition, epoch, first = '', last = '', sha256 = ''] = match
  const range = {
    topic,
    partition: Number(partition),
    epoch: Number(epoch),
    first: BigInt(first),
    last: BigInt(last),
    sha256
  }
  return archiveKey(range) === key ? range : undefined
}

function pad(offset: bigint): string {
  return offset.toString().padStart(20, '0')
}
