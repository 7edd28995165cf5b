// The coordinator of one in-process group: generations, eager rebalances, committed offsets, and members that the
// coordinator has dropped without their knowing.
//
// Invariant: a commit counts only from a member of the present generation.
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { assignPartitions } from './assignment.ts'
import type { MemoryFaults } from './memory-faults.ts'
import type { MemoryLog } from './memory-log.ts'
import { MemoryMember } from './memory-member.ts'
import type { MemberHost } from './memory-member.ts'
import { partitionKey } from './port.ts'
import type { Commit, GroupHandlers, GroupOptions, TopicPartition } from './port.ts'

export interface MemoryGroupDeps {
  readonly groupId: string
  readonly clock: Clock
  readonly log: MemoryLog
  readonly faults: MemoryFaults
  /** Records of one fetched batch at most. */
  readonly maxRecords: number
}

export class MemoryGroup implements MemberHost {
  readonly committed = new Map<string, bigint>()
  readonly #deps: MemoryGroupDeps
  /** Members of the group as the coordinator sees it. */
  readonly #members = new Set<MemoryMember>()
  /** Members that live, dropped ones included, with the timer of their next look at the topics. */
  readonly #living = new Map<MemoryMember, Disposable | undefined>()
  readonly #shapes = new WeakMap<MemoryMember, string>()
  #joined = 0
  #generation = 0
  #running = false
  #again = false

  constructor(deps: MemoryGroupDeps) {
    this.#deps = deps
  }

  get log(): MemoryLog {
    return this.#deps.log
  }

  get maxRecords(): number {
    return this.#deps.maxRecords
  }

  hasMembers(): boolean {
    return this.#members.size > 0
  }

  /** What its members hold now. */
  holding(): readonly TopicPartition[] {
    return [...this.#members].flatMap((member) => member.holding())
  }

  join(options: GroupOptions, handlers: GroupHandlers): MemoryMember {
    const member = new MemoryMember(String(this.#joined++).padStart(6, '0'), options, handlers, this)
    this.#members.add(member)
    this.#armRefresh(member)
    this.rebalance()
    return member
  }

  /** Begins a rebalance, or another one after the one that runs. */
  rebalance(): void {
    this.#again = true
    if (!this.#running) void this.#rebalanceLoop()
  }

  /** Drops the member without telling it. */
  isolate(member: MemoryMember): void {
    if (this.#members.delete(member)) this.rebalance()
  }

  /** The member notices that it was dropped: it revokes and joins anew. */
  heal(member: MemoryMember): void {
    if (this.#members.has(member) || !this.#living.has(member)) return
    void member.revoke().then(() => {
      if (!this.#living.has(member)) return
      // It has let go already and is new to the next generation.
      member.generation = -1
      this.#members.add(member)
      this.rebalance()
    })
  }

  /** The member's process died. */
  crash(member: MemoryMember): void {
    member.crash()
    this.leave(member)
  }

  leave(member: MemoryMember): void {
    this.#living.get(member)?.[Symbol.dispose]()
    this.#living.delete(member)
    if (this.#members.delete(member)) this.rebalance()
  }

  /** New records may be there. A dropped member that does not know it goes on fetching. */
  poke(): void {
    for (const member of this.#living.keys()) member.poke()
  }

  committedOf(partition: TopicPartition): bigint | undefined {
    return this.committed.get(partitionKey(partition))
  }

  async commit(member: MemoryMember, commits: readonly Commit[]): Promise<'committed' | 'fenced'> {
    const { faults, groupId } = this.#deps
    const fault = await faults.commit?.(groupId, commits)
    if (fault === 'unavailable') throw new AppError('PIPE_KAFKA_UNAVAILABLE', 'the coordinator did not answer')
    if (!this.#members.has(member) || member.generation !== this.#generation) return 'fenced'
    for (const commit of commits) this.committed.set(partitionKey(commit), commit.offset)
    if (fault === 'reply-lost') throw new AppError('PIPE_KAFKA_UNAVAILABLE', 'the reply was lost')
    return 'committed'
  }

  async #rebalanceLoop(): Promise<void> {
    this.#running = true
    while (this.#again) {
      this.#again = false
      const before = [...this.#members].filter((member) => member.generation >= 0)
      await Promise.all(before.map((member) => this.#revokeInTime(member)))
      const now = [...this.#members]
      for (const member of now) {
        member.topics = await topicsOf(member)
        this.#shapes.set(member, this.#shape(member.topics))
      }
      this.#generation++
      this.#assign(now.filter((member) => this.#members.has(member)))
    }
    this.#running = false
  }

  #assign(members: readonly MemoryMember[]): void {
    const counts = new Map([...this.log.topics].map(([topic, { partitions }]) => [topic, partitions.length]))
    const shares = assignPartitions(members, counts)
    for (const member of members) {
      const share = shares.get(member.memberId) ?? new Map<string, readonly number[]>()
      const partitions = [...share].flatMap(([topic, own]) => own.map((partition) => ({ topic, partition })))
      member.assign(partitions, this.#generation)
    }
  }

  /** A member that does not let go in time is dropped, and joins anew when it has let go. */
  async #revokeInTime(member: MemoryMember): Promise<void> {
    let late = false
    const { promise, resolve } = Promise.withResolvers<void>()
    using _timer = this.#deps.clock.timer(member.options.rebalanceTimeoutMs, () => {
      late = true
      resolve()
    })
    const revoked = member.revoke()
    await Promise.race([revoked, promise])
    if (!late) return
    this.#members.delete(member)
    void revoked.then(() => this.heal(member))
  }

  #armRefresh(member: MemoryMember): void {
    const { clock } = this.#deps
    const { topicRefreshMs } = member.options
    const waitMs = topicRefreshMs - (clock.now() % topicRefreshMs)
    this.#living.set(
      member,
      clock.timer(waitMs, () => void this.#refresh(member))
    )
  }

  async #refresh(member: MemoryMember): Promise<void> {
    const topics = await topicsOf(member)
    if (!this.#living.has(member)) return
    if (this.#members.has(member) && this.#shapes.get(member) !== this.#shape(topics)) this.rebalance()
    this.#armRefresh(member)
  }

  #shape(topics: readonly string[]): string {
    return topics.map((topic) => `${topic}:${this.log.topics.get(topic)?.partitions.length ?? 0}`).join()
  }
}

/** The topics a member wants now; those it knows when it cannot say. */
async function topicsOf(member: MemoryMember): Promise<readonly string[]> {
  try {
    return [...(await member.options.topics())].sort()
  } catch {
    return member.topics
  }
}
