// Who holds what of a topic, by what brokers say about the groups that they coordinate. Pure.
import kafkajs from 'kafkajs'

/** A group as a broker describes it. */
export interface DescribedGroup {
  readonly groupId: string
  readonly state: string
  /** `consumer`, or that of another system, such as `connect`. */
  readonly protocolType: string
  readonly members: readonly { readonly memberAssignment: Buffer }[]
}

/**
 * The partitions of `topic` that members of each group hold. Groups that read nothing of it are absent. A broker tells
 * neither topics nor partitions of a group that is being assigned: it is there with nothing, whatever it reads.
 */
export function holdersIn(groups: Iterable<DescribedGroup>, topic: string): ReadonlyMap<string, ReadonlySet<number>> {
  const held = new Map<string, Set<number>>()
  for (const { groupId, state, protocolType, members } of groups) {
    if (protocolType === 'consumer' && members.length > 0 && state !== 'Stable') held.set(groupId, new Set())
    for (const { memberAssignment } of members) {
      const assigned = assignedOf(memberAssignment)?.[topic]
      if (assigned === undefined) continue
      const partitions = held.get(groupId) ?? new Set()
      for (const partition of assigned) partitions.add(partition)
      held.set(groupId, partitions)
    }
  }
  return held
}

/** A member that is joining has no assignment; a group of another protocol has something else there. */
function assignedOf(assignment: Buffer): Readonly<Record<string, readonly number[]>> | undefined {
  if (assignment.length === 0) return undefined
  try {
    return kafkajs.AssignerProtocol.MemberAssignment.decode(assignment)?.assignment
  } catch {
    return undefined
  }
}
