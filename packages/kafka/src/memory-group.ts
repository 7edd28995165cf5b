// The coordinator of one in-process group: generations, eager rebalances, committed offsets, and members that the
// coordinator has dropped without their knowing.
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { createMemoryMember } from './memory-member.ts'
import type { MemoryMember } from './memory-member.ts'
import type { MemoryFaults } from './memory-faults.ts'
import type { MemoryLog } from './memory-log.ts'
import { partitionKey } from './port.ts'
import type { Commit, GroupHandlers, GroupOptions, TopicPartition } from './port.ts'

/** A group as the cluster sees it. */
export interface MemoryGroup {
  readonly committed: Map<string, bigint>
  join(options: GroupOptions, handlers: GroupHandlers): MemoryMember
  hasMembers(): boolean
  /** Begins a rebalance, or another one after the one that runs. */
  rebalance(): void
  /** Drops the member without telling it. */
  isolate(member: MemoryMember): void
  /** The member notices that it was dropped: it revokes and joins anew. */
  heal(member: MemoryMember): void
  /** The member's process died. */
  crash(member: MemoryMember): void
  /** New records may be there. */
  poke(): void
}

/** Creates a group without members. */
export function createMemoryGroup(deps: {
  readonly groupId: string
  readonly clock: Clock
  readonly log: MemoryLog
  readonly faults: MemoryFaults
  readonly maxRecords: number
}): MemoryGroup {
  const { groupId, clock, log, faults, maxRecords } = deps
  const committed = new Map<string, bigint>()
  const members = new Set<MemoryMember>()
  const refreshes = new Map<MemoryMember, Disposable>()
  let generation = 0
  let running = false
  let again = false

  const shape = (topics: readonly string[]): string =>
    topics.map((topic) => `${topic}:${log.topics.get(topic)?.partitions.length ?? 0}`).join()
  const shapes = new WeakMap<MemoryMember, string>()
  const topicsOf = async (member: MemoryMember): Promise<readonly string[]> => {
    try {
      return [...(await member.options.topics())].sort()
    } catch {
      return member.topics
    }
  }

  const host = {
    log,
    maxRecords,
    committed: (partition: TopicPartition) => committed.get(partitionKey(partition)),
    async commit(member: MemoryMember, commits: readonly Commit[]): Promise<'committed' | 'fenced'> {
      const fault = await faults.commit?.(groupId, commits)
      if (fault === 'unavailable') throw new AppError('PIPE_KAFKA_UNAVAILABLE', 'the coordinator did not answer')
      if (!members.has(member) || member.generation !== generation) return 'fenced'
      for (const commit of commits) committed.set(partitionKey(commit), commit.offset)
      if (fault === 'reply-lost') throw new AppError('PIPE_KAFKA_UNAVAILABLE', 'the reply was lost')
      return 'committed'
    },
    leave(member: MemoryMember): void {
      forget(member)
    }
  }

  const forget = (member: MemoryMember): void => {
    refreshes.get(member)?.[Symbol.dispose]()
    refreshes.delete(member)
    if (members.delete(member)) rebalance()
  }
  const armRefresh = (member: MemoryMember): void => {
    refreshes.get(member)?.[Symbol.dispose]()
    const { topicRefreshMs } = member.options
    const waitMs = topicRefreshMs - (clock.now() % topicRefreshMs)
    const refresh = async (): Promise<void> => {
      const topics = await topicsOf(member)
      if (!members.has(member)) return
      if (shapes.get(member) !== shape(topics)) rebalance()
      armRefresh(member)
    }
    refreshes.set(
      member,
      clock.timer(waitMs, () => void refresh())
    )
  }

  const rebalance = (): void => {
    again = true
    if (!running) void rebalanceLoop()
  }
  const rebalanceLoop = async (): Promise<void> => {
    running = true
    while (again) {
      again = false
      const before = [...members].filter((member) => member.generation >= 0)
      await Promise.all(before.map((member) => revokeInTime(member)))
      const now = [...members].sort((a, b) => order(a) - order(b))
      for (const member of now) {
        member.topics = await topicsOf(member)
        shapes.set(member, shape(member.topics))
      }
      generation++
      const shares = assign(now, log)
      for (const member of now) if (members.has(member)) member.assign(shares.get(member) ?? [], generation)
    }
    running = false
  }
  const revokeInTime = async (member: MemoryMember): Promise<void> => {
    let late = false
    const { promise, resolve } = Promise.withResolvers<void>()
    using _timer = clock.timer(member.options.rebalanceTimeoutMs, () => {
      late = true
      resolve()
    })
    const revoked = member.revoke()
    await Promise.race([revoked, promise])
    if (!late) return
    members.delete(member)
    void revoked.then(() => group.heal(member))
  }

  let joined = 0
  const orders = new WeakMap<MemoryMember, number>()
  const order = (member: MemoryMember): number => orders.get(member) ?? 0

  const group: MemoryGroup = {
    committed,
    hasMembers: () => members.size > 0,
    rebalance,
    join(options, handlers) {
      const member = createMemoryMember(options, handlers, host)
      orders.set(member, joined++)
      members.add(member)
      armRefresh(member)
      rebalance()
      return member
    },
    isolate(member) {
      if (members.delete(member)) rebalance()
    },
    heal(member) {
      if (members.has(member) || !refreshes.has(member)) return
      void member.revoke().then(() => {
        if (!refreshes.has(member)) return
        members.add(member)
        rebalance()
      })
    },
    crash(member) {
      member.crash()
      forget(member)
    },
    poke() {
      // A dropped member that does not know it goes on fetching.
      for (const member of refreshes.keys()) member.poke()
    }
  }
  return group
}

/** Each topic's partitions, dealt in turn to the members that subscribe it. */
function assign(members: readonly MemoryMember[], log: MemoryLog): Map<MemoryMember, TopicPartition[]> {
  const shares = new Map<MemoryMember, TopicPartition[]>(members.map((member) => [member, []]))
  const topics = [...new Set(members.flatMap((member) => member.topics))].sort()
  let turn = 0
  for (const topic of topics) {
    const readers = members.filter((member) => member.topics.includes(topic))
    const count = log.topics.get(topic)?.partitions.length ?? 0
    for (let partition = 0; partition < count; partition++) {
      const reader = readers[turn++ % readers.length]
      if (reader !== undefined) shares.get(reader)?.push({ topic, partition })
    }
  }
  return shares
}
