// Where each consumer group stands. A sink that keeps its own position is asked for that one: what the group has committed
// is a hint there. The committed offset is the truth of the others.
import type { ArchiveManifest } from '@millrace/stores/archive-manifest'
import type { RedisEpochs } from '@millrace/aggregation/redis-epochs'
import { parseTopic, redriveTopic } from '@millrace/contracts'
import { partitionKey } from '@millrace/kafka'
import type { LogSampler, TopicPartition } from '@millrace/kafka'

/** A consumer group and where its effects end. */
export interface Sink {
  readonly group: string
  readonly reads: (topic: string) => boolean
  /** Offset after the last record that took effect, by `partitionKey`; absent: it begins at the start of the log. */
  readonly positions: (partitions: readonly TopicPartition[]) => Promise<ReadonlyMap<string, bigint>>
}

/** Projects asked at once; each is one script of Redis. */
const projectsAtOnce = 32

/** A group whose commits are its position; it reads its letters again, too. */
export function committedSink(sampler: Pick<LogSampler, 'committed'>, group: string): Sink {
  const redrive = redriveTopic(group)
  return {
    group,
    reads: (topic) => topic === redrive || isRaw(topic),
    positions: (partitions) => sampler.committed(group, partitions)
  }
}

/** The aggregators: the positions of the live epoch of each project. Throws PIPE_REDIS_UNAVAILABLE. */
export function liveStateSink(epochs: Pick<RedisEpochs, 'look'>, group: string): Sink {
  const ofProject = async (project: string, topic: string): Promise<readonly (readonly [string, bigint])[]> => {
    const { pointer, epochs: found } = await epochs.look(project)
    const partitions = found.get(pointer)?.partitions ?? []
    return partitions.map(({ position }, partition) => [partitionKey({ topic, partition }), position])
  }
  return {
    group,
    reads: isRaw,
    async positions(partitions) {
      const topics = [...new Set(partitions.map(({ topic }) => topic))]
      const positions = new Map<string, bigint>()
      for (let at = 0; at < topics.length; at += projectsAtOnce) {
        const some = topics.slice(at, at + projectsAtOnce)
        const read = await Promise.all(some.map((topic) => ofProject(parseTopic(topic)?.parameter ?? '', topic)))
        for (const [key, position] of read.flat()) positions.set(key, position)
      }
      return positions
    }
  }
}

/** The archivers: the heads of the newest epoch of each partition. Throws PIPE_POSTGRES_UNAVAILABLE. */
export function archiveSink(manifest: Pick<ArchiveManifest, 'allHeads' | 'heads'>, group: string): Sink {
  return {
    group,
    reads: isRaw,
    async positions(partitions) {
      const [topic = '', ...others] = new Set(partitions.map((each) => each.topic))
      // Of all in the order of epochs: the newest is the last.
      const heads = others.length === 0 ? await manifest.heads(topic) : await manifest.allHeads({})
      return new Map(heads.map((head) => [partitionKey(head), head.position] as const))
    }
  }
}

function isRaw(topic: string): boolean {
  return parseTopic(topic)?.family === 'raw'
}
