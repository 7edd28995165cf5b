// Where the archive of a partition goes on, and whether the log under that name is still the one it was taken from.
import type { Admin, PartitionRange, TopicPartition } from '@millrace/kafka'
import { isSameLog } from '@millrace/stores/archive-log'
import type { ArchiveHead, ArchiveManifest } from '@millrace/stores/archive-manifest'

export interface HeadsDeps {
  readonly manifest: Pick<ArchiveManifest, 'heads' | 'open'>
  readonly admin: Pick<Admin, 'ranges' | 'offsetsAt'>
  /** Told of a log that is another one than archived: its archive begins anew, beside the old one. */
  readonly onOtherLog: (head: ArchiveHead) => void
}

/**
 * The heads of `partitions`, made where they are new. A topic that was deleted and created again gets the next epoch.
 * Throws PIPE_POSTGRES_UNAVAILABLE, PIPE_KAFKA_UNAVAILABLE.
 */
export async function headsOf(deps: HeadsDeps, partitions: readonly TopicPartition[]): Promise<readonly ArchiveHead[]> {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of partitions) topics.set(topic, [...(topics.get(topic) ?? []), partition])
  const heads: ArchiveHead[] = []
  const all = [...topics]
  for (let at = 0; at < all.length; at += topicsAtOnce) {
    const some = all.slice(at, at + topicsAtOnce).map(([topic, numbers]) => headsOfTopic(deps, topic, numbers))
    heads.push(...(await Promise.all(some)).flat())
  }
  return heads
}

/** A deployment may have a thousand topics, and PostgreSQL gives this process a handful of connections. */
const topicsAtOnce = 8

async function headsOfTopic(deps: HeadsDeps, topic: string, partitions: readonly number[]): Promise<ArchiveHead[]> {
  const known = new Map((await deps.manifest.heads(topic)).map((head) => [head.partition, head]))
  const ranges = new Map((await deps.admin.ranges(topic)).map((range) => [range.partition, range]))
  return await Promise.all(
    partitions.map((partition) => headOf(deps, { topic, partition }, known.get(partition), ranges.get(partition)))
  )
}

async function headOf(
  { manifest, admin, onOtherLog }: HeadsDeps,
  partition: TopicPartition,
  head: ArchiveHead | undefined,
  range: PartitionRange | undefined
): Promise<ArchiveHead> {
  if (head === undefined) return await manifest.open({ ...partition, epoch: 1 })
  if (range === undefined || (await isSameLog(admin, head, range))) return head
  onOtherLog(head)
  return await manifest.open({ ...partition, epoch: head.epoch + 1 })
}

/** First offset that the log of a partition still has. Throws PIPE_KAFKA_UNAVAILABLE. */
export async function logStart(admin: Pick<Admin, 'ranges'>, { topic, partition }: TopicPartition): Promise<bigint> {
  return (await admin.ranges(topic)).find((range) => range.partition === partition)?.start ?? 0n
}
