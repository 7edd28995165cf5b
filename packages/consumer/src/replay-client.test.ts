// The end of a replay where the log has no record right before it, and how far live reading is behind, with a member that
// the test plays.
import { expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import type { Commit, ConsumerClient, GroupHandlers, GroupMember, KafkaRecord, RecordBatch } from '@millrace/kafka'
import { createBoundedClient, createWatchedClient } from './replay-client.ts'

const partition = { topic: 'events.a', partition: 0 }

function record(offset: bigint): KafkaRecord {
  return { ...partition, offset, key: null, value: Buffer.from('x'), headers: {}, appendedAtMs: 0 }
}

function batch(nextOffset: bigint, ...offsets: readonly bigint[]): RecordBatch {
  return { ...partition, records: offsets.map(record), highWatermark: 20n, nextOffset }
}

const options = {
  groupId: 'g-replay',
  topics: async () => ['events.a'],
  fallback: 'earliest',
  sessionTimeoutMs: 1,
  heartbeatIntervalMs: 1,
  rebalanceTimeoutMs: 1,
  topicRefreshMs: 1,
  maxBytesPerPartition: 1,
  maxWaitMs: 1
} as const

const idle: GroupHandlers = {
  onAssigned: async () => new Map(),
  onRevoking: async () => {},
  onBatch: async () => {},
  onOutOfRange: () => {},
  onFatal: () => {}
}

async function join(failures = 0) {
  let handlers: GroupHandlers | undefined
  let left = failures
  const commits: bigint[] = []
  const calls: string[] = []
  const inner: GroupMember = {
    pause: () => void calls.push('pause'),
    resume: () => void calls.push('resume'),
    seek: (_, offset) => void calls.push(`seek ${offset}`),
    async commit(told: readonly Commit[]) {
      if (left-- > 0) throw new AppError('PIPE_KAFKA_UNAVAILABLE', 'no answer')
      commits.push(...told.map(({ offset }) => offset))
      return 'committed'
    },
    stop: async () => {}
  }
  const played: ConsumerClient = {
    join: async (_, given) => {
      handlers = given
      return inner
    }
  }
  const client = createBoundedClient(played, { ends: new Map([[0, 10n]]), onShare: () => {} })
  const taken: bigint[] = []
  const member = await client.join(options, {
    ...idle,
    onBatch: async ({ records }) => void taken.push(...records.map(({ offset }) => offset))
  })
  await handlers?.onAssigned([partition])
  const fetch = async (fetched: RecordBatch): Promise<void> => await handlers?.onBatch(fetched)
  const commit = async (offset: bigint): Promise<unknown> => await member.commit([{ ...partition, offset }])
  return { fetch, commit, commits, calls, taken }
}

it('commits the end at once when the log has nothing before it', async () => {
  const { fetch, commits, calls, taken } = await join()
  await fetch(batch(13n, 12n))
  expect([taken, commits, calls]).toEqual([[], [10n], ['pause']])
})

it('commits the end when all before the hole was committed already', async () => {
  const { fetch, commit, commits, taken } = await join()
  await fetch(batch(8n, 6n, 7n))
  await commit(8n)
  await fetch(batch(13n, 12n))
  expect([taken, commits]).toEqual([
    [6n, 7n],
    [8n, 10n]
  ])
})

it('commits the end with the last record before the hole, and not with an earlier one', async () => {
  const { fetch, commit, commits } = await join()
  await fetch(batch(8n, 6n, 7n))
  await fetch(batch(13n, 12n))
  expect(commits).toEqual([])
  await commit(7n)
  await commit(8n)
  expect(commits).toEqual([7n, 10n])
})

it('commits the end, too, when the hole is found while the last commit is on its way', async () => {
  const { fetch, commit, commits } = await join()
  await fetch(batch(8n, 6n, 7n))
  const committing = commit(8n)
  await fetch(batch(13n, 12n))
  await committing
  expect(commits.at(-1)).toBe(10n)
})

it('tries again when the end could not be committed', async () => {
  const { fetch, commits, calls } = await join(1)
  await fetch(batch(13n, 12n))
  expect([commits, calls]).toEqual([[], ['pause', 'seek 10', 'resume']])
  await fetch(batch(13n, 12n))
  expect(commits).toEqual([10n])
})

async function watch(fate: 'committed' | 'fenced' = 'committed') {
  const clock = createManualClock(10_000)
  const member = { pause() {}, resume() {}, seek() {}, commit: async () => fate, stop: async () => {} }
  let handlers: GroupHandlers | undefined
  const played: ConsumerClient = {
    join: async (_, given) => {
      handlers = given
      return member
    }
  }
  const { client, behind } = createWatchedClient(played, clock, 1_000)
  const joined = await client.join(options, idle)
  /** A fetch of `count` records, offsets from `from` on. */
  const fetch = async (from: bigint, end: bigint, count: number, at = partition): Promise<void> => {
    const records = Array.from({ length: count }, (_, index) => record(from + BigInt(index)))
    await handlers?.onBatch({ ...at, records, highWatermark: end, nextOffset: from + BigInt(count) })
  }
  const assigned = async (): Promise<unknown> => await handlers?.onAssigned([partition])
  const outOfRange = (from: bigint, logStart: bigint): unknown => handlers?.onOutOfRange(partition, from, logStart)
  return {
    clock,
    behind,
    behindMs: () => behind().ms,
    fetch,
    outOfRange,
    assigned,
    joined,
    commit: (offset: bigint) => joined.commit([{ ...partition, offset }])
  }
}

it('counts live records as waiting from when their batch is due until they are committed', async () => {
  const { clock, behindMs, fetch, commit } = await watch()
  expect(behindMs()).toBe(0)
  await fetch(0n, 2n, 2)
  await clock.advance(1_000)
  expect(behindMs()).toBe(0)
  await fetch(2n, 4n, 2)
  await clock.advance(501)
  expect(behindMs()).toBe(501)
  await commit(2n)
  expect(behindMs()).toBe(0)
  await clock.advance(1_099)
  expect(behindMs()).toBe(600)
  // A position in the middle of a fetch passes none of it.
  await commit(3n)
  expect(behindMs()).toBe(600)
  await commit(4n)
  expect(behindMs()).toBe(0)
})

it('counts how long the end of the log was not reached, through all the fetches in between', async () => {
  const { clock, behindMs, fetch, commit } = await watch()
  await fetch(0n, 9n, 2)
  await commit(2n)
  await clock.advance(200)
  await fetch(2n, 9n, 1)
  await commit(3n)
  await clock.advance(100)
  expect(behindMs()).toBe(300)
  await fetch(3n, 9n, 6)
  expect(behindMs()).toBe(0)
  await commit(9n)
  await fetch(9n, 20n, 1)
  await commit(10n)
  expect(behindMs()).toBe(0)
  await clock.advance(10)
  expect(behindMs()).toBe(10)
})

it('is not behind in a log that has forgotten all that was left to read', async () => {
  const { clock, behindMs, fetch, commit, outOfRange } = await watch()
  await fetch(0n, 9n, 2)
  await commit(2n)
  await clock.advance(300)
  expect(behindMs()).toBe(300)
  outOfRange(2n, 9n)
  await clock.advance(300)
  expect(behindMs()).toBe(0)
})

it('names the partition that waits longest', async () => {
  const { clock, behind, fetch } = await watch()
  expect(behind()).toEqual({ ms: 0, partition: undefined })
  await fetch(0n, 9n, 1, { topic: 'events.b', partition: 3 })
  await clock.advance(50)
  await fetch(0n, 9n, 1)
  await clock.advance(50)
  expect(behind()).toEqual({ ms: 100, partition: 'events.b:3' })
})

it('forgets what is in hand with an assignment and a seek, and keeps it when a commit is fenced', async () => {
  const { clock, behindMs, fetch, assigned, joined, commit } = await watch('fenced')
  await fetch(0n, 1n, 1)
  await clock.advance(2_000)
  await commit(1n)
  expect(behindMs()).toBe(1_000)
  await assigned()
  expect(behindMs()).toBe(0)
  await fetch(0n, 1n, 1)
  await clock.advance(2_000)
  joined.seek(partition, 0n)
  expect(behindMs()).toBe(0)
})
