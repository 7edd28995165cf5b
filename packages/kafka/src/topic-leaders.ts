// Leaders of a topic's partitions, remembered for a short time. Asked topic by topic: one topic without a leader
// anywhere in the cluster must not hide the others.
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'

export interface LeaderSource {
  fetchTopicMetadata(options: {
    topics: string[]
  }): Promise<{ topics: readonly { name: string; partitions: readonly { partitionId: number; leader: number }[] }[] }>
}

export interface TopicLeaders {
  /** Leader by partition, at most `maxAgeMs` old (default 10,000). Throws the client's error, or PIPE_KAFKA_UNAVAILABLE. */
  leaders(topic: string, maxAgeMs?: number): Promise<ReadonlyMap<number, number>>
}

interface Known {
  readonly atMs: number
  readonly leaders: Promise<ReadonlyMap<number, number>>
}

/** Creates the cache over an admin client of the library. */
export function createTopicLeaders(source: () => Promise<LeaderSource>, clock: Clock): TopicLeaders {
  const known = new Map<string, Known>()
  return {
    leaders(topic, maxAgeMs = 10_000) {
      const entry = known.get(topic)
      if (entry !== undefined && clock.monotonic() - entry.atMs < maxAgeMs) return entry.leaders
      const leaders = source().then((admin) => fetchLeaders(admin, topic))
      known.set(topic, { atMs: clock.monotonic(), leaders })
      leaders.catch(() => known.delete(topic))
      return leaders
    }
  }
}

async function fetchLeaders(admin: LeaderSource, topic: string): Promise<ReadonlyMap<number, number>> {
  const { topics } = await guardNull(admin.fetchTopicMetadata({ topics: [topic] }))
  const partitions = topics.find(({ name }) => name === topic)?.partitions ?? []
  if (partitions.length === 0) throw new AppError('PIPE_TOPIC_MISSING', `topic ${topic} does not exist`)
  return new Map(partitions.map(({ partitionId, leader }) => [partitionId, leader]))
}

/** The library answers null inside when no broker could be asked, and then trips over it with a TypeError. */
export async function guardNull<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new AppError('PIPE_KAFKA_UNAVAILABLE', 'no broker answered a metadata request', { cause: error })
  }
}
