// One member of an in-process group. Its handlers are called one at a time, in order, through one chain of tasks; a
// crashed or stopped member's handlers are never called again.
import { AppError } from '@millrace/kernel'
import type { MemoryLog } from './memory-log.ts'
import { partitionKey } from './port.ts'
import type { Commit, GroupHandlers, GroupMember, GroupOptions, TopicPartition } from './port.ts'

/** What a member asks of its coordinator. */
export interface MemberHost {
  readonly log: MemoryLog
  readonly maxRecords: number
  committed(partition: TopicPartition): bigint | undefined
  commit(member: MemoryMember, commits: readonly Commit[]): Promise<'committed' | 'fenced'>
  leave(member: MemoryMember): void
}

interface Held {
  readonly partition: TopicPartition
  position: bigint
  paused: boolean
}

/** A member as its coordinator sees it. */
export interface MemoryMember extends GroupMember {
  readonly options: GroupOptions
  generation: number
  topics: readonly string[]
  assign(partitions: readonly TopicPartition[], generation: number): void
  revoke(): Promise<void>
  /** Fetches what is new. */
  poke(): void
  crash(): void
  fail(error: Error): void
}

/** Creates a member that joined with `options`. */
export function createMemoryMember(options: GroupOptions, handlers: GroupHandlers, host: MemberHost): MemoryMember {
  let held = new Map<string, Held>()
  let ended = false
  let crashed = false
  let fetching = false
  let chain: Promise<void> = Promise.resolve()

  const run = (task: () => Promise<void> | void): Promise<void> => {
    chain = chain.then(async () => {
      if (!ended) await task()
    })
    chain = chain.catch((error: unknown) => fatal(error))
    return chain
  }
  const fatal = (error: unknown): void => {
    if (ended) return
    ended = true
    host.leave(member)
    handlers.onFatal(new AppError('PIPE_KAFKA_FATAL', 'a group handler threw', { cause: error }))
  }
  const startOf = (partition: TopicPartition): bigint => {
    const range = host.log.range(partition.topic, partition.partition)
    const fallback = options.fallback === 'earliest' ? range?.start : range?.end
    return host.committed(partition) ?? fallback ?? 0n
  }
  const nextHeld = (): Held | undefined => {
    for (const [key, one] of held) {
      if (one.paused) continue
      const range = host.log.range(one.partition.topic, one.partition.partition)
      if (range === undefined) continue
      if (one.position < range.start || one.position > range.end) {
        const requested = one.position
        one.position = range.start
        handlers.onOutOfRange(one.partition, requested, range.start)
      }
      if (one.position >= range.end) continue
      // The next turn begins with another partition.
      held.delete(key)
      held.set(key, one)
      return one
    }
    return undefined
  }
  const fetch = async (): Promise<void> => {
    fetching = false
    const one = nextHeld()
    if (one === undefined) return
    const { topic, partition } = one.partition
    const { maxBytesPerPartition } = options
    const records = host.log.read(topic, partition, one.position, host.maxRecords, maxBytesPerPartition)
    one.position += BigInt(records.length)
    poke()
    const highWatermark = host.log.range(topic, partition)?.end ?? one.position
    await handlers.onBatch({ topic, partition, records, highWatermark, nextOffset: one.position })
  }
  const poke = (): void => {
    if (fetching || ended) return
    fetching = true
    void run(fetch)
  }
  const each = (partitions: readonly TopicPartition[], change: (one: Held) => void): void => {
    for (const partition of partitions) {
      const one = held.get(partitionKey(partition))
      if (one !== undefined) change(one)
    }
  }

  const member: MemoryMember = {
    options,
    generation: -1,
    topics: [],
    assign(partitions, generation) {
      member.generation = generation
      held = new Map()
      void run(async () => {
        if (member.generation !== generation) return
        const positions = await handlers.onAssigned(partitions)
        if (member.generation !== generation) return
        for (const partition of partitions) {
          const position = positions.get(partitionKey(partition)) ?? startOf(partition)
          held.set(partitionKey(partition), { partition, position, paused: false })
        }
        poke()
      })
    },
    revoke: () => run(() => handlers.onRevoking()),
    poke,
    crash() {
      ended = true
      crashed = true
      held.clear()
    },
    fail(error) {
      if (ended) return
      ended = true
      host.leave(member)
      handlers.onFatal(error)
    },
    pause: (partitions) => each(partitions, (one) => (one.paused = true)),
    resume(partitions) {
      each(partitions, (one) => (one.paused = false))
      poke()
    },
    seek(partition, offset) {
      each([partition], (one) => (one.position = offset))
      poke()
    },
    commit: (commits) => (crashed ? new Promise(() => {}) : host.commit(member, commits)),
    async stop() {
      if (crashed) return
      const busy = chain
      ended = true
      held.clear()
      host.leave(member)
      await busy
    }
  }
  return member
}
