// Our assignment inside the client's group protocol, and the one place where the client hands out its cluster: commits
// with a fixed generation and reads of committed offsets need it.
import kafkajs from 'kafkajs'
import type { Cluster, PartitionAssigner } from 'kafkajs'
import { AppError } from '@millrace/kernel'
import { assignPartitions } from './assignment.ts'

/** Protocol name in the group; all members of a group must offer the same one. */
export const assignerName = 'millrace'

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol
const version = 0

export interface AssignerHooks {
  /** The client's view of the cluster, once, when the consumer is made. */
  readonly onCluster: (cluster: Cluster) => void
  /** Awaited before every JoinGroup request (a hook of our kafkajs patch). */
  readonly beforeJoin: () => Promise<void>
}

/** The assigner to give to a client's consumer. */
export function createAssigner({ onCluster, beforeJoin }: AssignerHooks): PartitionAssigner {
  return ({ cluster }) => {
    onCluster(cluster)
    const assigner = {
      name: assignerName,
      version,
      beforeJoin,
      protocol: ({ topics }: { topics: string[] }) => ({
        name: assignerName,
        metadata: MemberMetadata.encode({ version, topics, userData: Buffer.alloc(0) })
      }),
      assign: async ({ members }: { members: { memberId: string; memberMetadata: Buffer }[] }) => {
        const subscribed = members.map(({ memberId, memberMetadata }) => ({
          memberId,
          topics: MemberMetadata.decode(memberMetadata)?.topics ?? []
        }))
        const shares = assignPartitions(subscribed, await partitionCounts(cluster))
        return [...shares].map(([memberId, topics]) => ({
          memberId,
          memberAssignment: MemberAssignment.encode({
            version,
            assignment: Object.fromEntries([...topics].map(([topic, partitions]) => [topic, [...partitions]])),
            userData: Buffer.alloc(0)
          })
        }))
      }
    }
    return assigner
  }
}

/** Partition counts of every topic: the leader may have to place topics that it does not subscribe itself. */
async function partitionCounts(cluster: Cluster): Promise<ReadonlyMap<string, number>> {
  // The client answers null, against its type, when no broker could be asked.
  const metadata = (await cluster.metadata()) as Awaited<ReturnType<Cluster['metadata']>> | null
  if (metadata === null)
    throw new AppError('PIPE_KAFKA_UNAVAILABLE', 'no broker answered while partitions were assigned')
  return new Map(metadata.topicMetadata.map(({ topic, partitionMetadata }) => [topic, partitionMetadata.length]))
}
