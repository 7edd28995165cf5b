// Who reads which partition. Members may know different topics while a new one spreads, so each topic goes only to
// members that subscribe it; a topic that one member alone knows is read by that member and never dropped.

/** A member as the leader of a group sees it. */
export interface SubscribedMember {
  readonly memberId: string
  readonly topics: readonly string[]
}

/** Partitions by topic of one member. */
export type MemberPartitions = ReadonlyMap<string, readonly number[]>

/**
 * Gives every partition of every subscribed topic to exactly one member that subscribes it, the least loaded one. The
 * result depends on the input alone, not on its order; members with equal subscriptions differ by at most one partition.
 * A topic without an entry in `partitionCounts` does not exist and is left out.
 */
export function assignPartitions(
  members: readonly SubscribedMember[],
  partitionCounts: ReadonlyMap<string, number>
): ReadonlyMap<string, MemberPartitions> {
  const shares = new Map(members.map(({ memberId }) => [memberId, new Map<string, number[]>()]))
  const loads = new Map(members.map(({ memberId }) => [memberId, 0]))
  for (const [topic, subscribers] of scarcestFirst(members)) {
    const count = partitionCounts.get(topic) ?? 0
    for (let partition = 0; partition < count; partition++) {
      const memberId = leastLoaded(subscribers, loads)
      loads.set(memberId, (loads.get(memberId) ?? 0) + 1)
      const share = shares.get(memberId)
      const partitions = share?.get(topic)
      if (partitions === undefined) share?.set(topic, [partition])
      else partitions.push(partition)
    }
  }
  return shares
}

/** Topics with their sorted subscribers, fewest subscribers first: what only some can read is placed before the rest. */
function scarcestFirst(members: readonly SubscribedMember[]): readonly (readonly [string, readonly string[]])[] {
  const subscribers = new Map<string, Set<string>>()
  for (const { memberId, topics } of members) {
    for (const topic of topics) {
      const known = subscribers.get(topic)
      if (known === undefined) subscribers.set(topic, new Set([memberId]))
      else known.add(memberId)
    }
  }
  return [...subscribers]
    .map(([topic, ids]) => [topic, [...ids].sort()] as const)
    .sort(([a, aIds], [b, bIds]) => aIds.length - bIds.length || (a < b ? -1 : 1))
}

function leastLoaded(candidates: readonly string[], loads: ReadonlyMap<string, number>): string {
  let best = candidates[0] ?? ''
  for (const candidate of candidates) {
    if ((loads.get(candidate) ?? 0) < (loads.get(best) ?? 0)) best = candidate
  }
  return best
}
