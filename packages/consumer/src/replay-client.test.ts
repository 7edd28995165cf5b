// The end of a replay where the log has no record right before it, with a member that the test plays.
import { expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import type { Commit, GroupHandlers, GroupMember, KafkaRecord, RecordBatch } from '@millrace/kafka'
import { createBoundedClient } from './replay-client.ts'

const partition = { topic: 'events.a', partition: 0 }

function record(offset: bigint): KafkaRecord {
  return { ...partition, offset, key: null, value: Buffer.from('x'), headers: {}, appendedAtMs: 0 }
}

function batch(nextOffset: bigint, ...offsets: readonly bigint[]): RecordBatch {
  return { ...partition, records: offsets.map(record), highWatermark: 20n, nextOffset }
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
  const client = createBoundedClient(
    {
      join: async (_, given) => {
        handlers = given
        return inner
      }
    },
    { ends: new Map([[0, 10n]]), onShare: () => {} }
  )
  const taken: bigint[] = []
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
  const member = await client.join(options, {
    onAssigned: async () => new Map(),
    onRevoking: async () => {},
    onBatch: async ({ records }) => void taken.push(...records.map(({ offset }) => offset)),
    onOutOfRange: () => {},
    onFatal: () => {}
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
