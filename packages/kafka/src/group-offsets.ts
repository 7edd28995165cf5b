// What the cluster knows about the partitions of one assignment: committed offsets and the range of each log; and the
// commit of exactly the generation that an assignment was given in.
import type { Broker, Cluster } from 'kafkajs'
import { AppError, backoffMs } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { classifyKafka, toAppError } from './kafkajs-errors.ts'
import { partitionKey } from './port.ts'
import type { Commit, TopicPartition } from './port.ts'

/** A partition's log, and the group's commit in it when there is one. */
export interface LogView {
  readonly start: bigint
  readonly end: bigint
  readonly committed: bigint | undefined
}

export interface GroupOffsetsDeps {
  readonly cluster: Cluster
  readonly groupId: string
  readonly clock: Clock
}

export interface GroupOffsets {
  /** Takes a member out of the group; one that the group does not know any more is no failure. */
  leave(memberId: string): Promise<void>
  /** By partition key. Throws the client's error; a partition whose leader is unknown is PIPE_KAFKA_UNAVAILABLE. */
  read(partitions: readonly TopicPartition[]): Promise<ReadonlyMap<string, LogView>>
  /** `fenced` when the generation is over. Throws PIPE_KAFKA_UNAVAILABLE after a few attempts. */
  commit(
    member: { memberId: string; generationId: number },
    commits: readonly Commit[]
  ): Promise<'committed' | 'fenced'>
}

const policy = { baseMs: 100, capMs: 1_000, jitter: 0.2 }
const commitAttempts = 5

/** Creates the reader and committer of one group. */
export function createGroupOffsets({ cluster, groupId, clock }: GroupOffsetsDeps): GroupOffsets {
  let coordinator: Broker | undefined
  const withCoordinator = async <T>(work: (broker: Broker) => Promise<T>): Promise<T> => {
    try {
      coordinator = coordinator?.isConnected() === true ? coordinator : await cluster.findGroupCoordinator({ groupId })
      return await work(coordinator)
    } catch (error) {
      coordinator = undefined
      throw error
    }
  }
  return {
    async leave(memberId) {
      try {
        // The library has this request but leaves it out of its types.
        await withCoordinator((broker) => (broker as Broker & LeaveGroup).leaveGroup({ groupId, memberId }))
      } catch (error) {
        if (classifyKafka(error).kind !== 'fenced') throw error
      }
    },
    async read(partitions) {
      if (partitions.length === 0) return new Map()
      const topics = [...groupByTopic(partitions)].map(([topic, own]) => ({
        topic,
        partitions: own.map(({ partition }) => ({ partition, offset: '-1' }))
      }))
      const fetched = await withCoordinator((broker) => broker.offsetFetch({ groupId, topics }))
      const starts = await cluster.fetchTopicsOffset(topics.map((own) => ({ ...own, fromBeginning: true })))
      const ends = await cluster.fetchTopicsOffset(topics.map((own) => ({ ...own, fromBeginning: false })))
      return toViews(partitions, indexOffsets(fetched.responses), indexOffsets(starts), indexOffsets(ends))
    },
    async commit({ memberId, generationId }, commits) {
      const topics = [...groupByTopic(commits)].map(([topic, own]) => ({
        topic,
        partitions: own.map(({ partition, offset }) => ({ partition, offset: String(offset) }))
      }))
      const request = { groupId, memberId, groupGenerationId: generationId, topics }
      for (let attempt = 1; ; attempt++) {
        try {
          await withCoordinator((broker) => broker.offsetCommit(request))
          return 'committed'
        } catch (error) {
          const { kind } = classifyKafka(error)
          if (kind === 'fenced') return 'fenced'
          if (kind !== 'unavailable' || attempt >= commitAttempts) throw toAppError(error, `committing for ${groupId}`)
          await clock.sleep(backoffMs(policy, attempt))
        }
      }
    }
  }
}

interface LeaveGroup {
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>
}

type TopicAnswer = { readonly topic: string; readonly partitions: readonly { partition: number; offset: string }[] }

function indexOffsets(answers: readonly TopicAnswer[]): ReadonlyMap<string, bigint> {
  const offsets = new Map<string, bigint>()
  for (const { topic, partitions } of answers) {
    for (const { partition, offset } of partitions) offsets.set(partitionKey({ topic, partition }), BigInt(offset))
  }
  return offsets
}

function toViews(
  partitions: readonly TopicPartition[],
  committed: ReadonlyMap<string, bigint>,
  starts: ReadonlyMap<string, bigint>,
  ends: ReadonlyMap<string, bigint>
): ReadonlyMap<string, LogView> {
  const views = new Map<string, LogView>()
  for (const partition of partitions) {
    const key = partitionKey(partition)
    const [start, end, commit = -1n] = [starts.get(key), ends.get(key), committed.get(key)]
    if (start === undefined || end === undefined) {
      throw new AppError('PIPE_KAFKA_UNAVAILABLE', `${key} has no leader that could be asked for its range`)
    }
    views.set(key, { start, end, committed: commit < 0n ? undefined : commit })
  }
  return views
}

function groupByTopic<T extends TopicPartition>(items: readonly T[]): ReadonlyMap<string, readonly T[]> {
  return Map.groupBy(items, ({ topic }) => topic)
}
