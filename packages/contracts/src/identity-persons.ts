// Which user ids are one person: a union-find over the manual merges in force. It reads them as a set, so the order in
// which merges and undos were made does not matter, and taking one back gives exactly what was before it.
import { compareIds } from './identity-ids.ts'

/** A manual merge in force: the events of one user id count for the person of the other. */
export interface PersonEdge {
  readonly fromUserId: string
  readonly intoUserId: string
}

/** A person that has user ids. */
export interface Person {
  /** The user id that the others were merged into. */
  readonly personId: string
  /** All user ids of the person, the one above included, in order. */
  readonly userIds: readonly string[]
}

export interface Persons {
  /** The person of a user id; a user id without merges is a person of its own. */
  personOf(userId: string): Person
  /** Every user id that an edge names. */
  readonly userIds: readonly string[]
}

/**
 * The persons that `edges` make. Connected user ids are one person. It is called by the one that was merged into no
 * other; where a set of edges leaves several or none such, which `merge` never writes, by the lowest of them.
 */
export function createPersons(edges: readonly PersonEdge[]): Persons {
  const parents = new Map<string, string>()
  const find = (userId: string): string => {
    let root = userId
    for (let above = parents.get(root); above !== undefined && above !== root; above = parents.get(root)) root = above
    // The way is shortened, so that long chains are walked once.
    for (let at = userId; at !== root;) {
      const above = parents.get(at) ?? root
      parents.set(at, root)
      at = above
    }
    return root
  }
  for (const { fromUserId, intoUserId } of edges) {
    for (const userId of [fromUserId, intoUserId]) if (!parents.has(userId)) parents.set(userId, userId)
    parents.set(find(fromUserId), find(intoUserId))
  }
  const members = Map.groupBy(parents.keys(), find)
  const merged = new Set(edges.filter(isMove).map(({ fromUserId }) => fromUserId))
  const persons = new Map([...members].map(([root, userIds]) => [root, toPerson(userIds, merged)]))
  return {
    personOf: (userId) => persons.get(find(userId)) ?? { personId: userId, userIds: [userId] },
    userIds: [...parents.keys()].sort(compareIds)
  }
}

/** A merge of a user id with itself says nothing. */
function isMove({ fromUserId, intoUserId }: PersonEdge): boolean {
  return fromUserId !== intoUserId
}

function toPerson(members: readonly string[], merged: ReadonlySet<string>): Person {
  const userIds = [...members].sort(compareIds)
  const [lowest = ''] = userIds
  const personId = userIds.find((userId) => !merged.has(userId)) ?? lowest
  return { personId, userIds }
}
