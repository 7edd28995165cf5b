import type { Admin, PartitionRange } from '@millrace/kafka'
import { describe, expect, it } from 'vitest'
import { readPipelineStatus, renderStatus } from './pipeline-status.ts'

type Log = readonly (readonly [start: bigint, end: bigint])[]

/** An Admin that knows these logs (one pair per partition) and these commits. */
function createAdmin(logs: Record<string, Log>, commits: Record<string, Record<string, Record<number, bigint>>>) {
  const admin: Pick<Admin, 'listTopics' | 'ranges' | 'groupOffsets'> = {
    listTopics: () => Promise.resolve(Object.keys(logs)),
    ranges: (topic) =>
      Promise.resolve(
        (logs[topic] ?? []).map(([start, end], partition): PartitionRange => ({ topic, partition, start, end }))
      ),
    groupOffsets: (group, topic) =>
      Promise.resolve(
        new Map(Object.entries(commits[group]?.[topic] ?? {}).map(([key, offset]) => [Number(key), offset]))
      )
  }
  // The reader uses these three calls alone.
  return admin as Admin
}

describe('readPipelineStatus', () => {
  it('sums the raw logs of all projects and what each group has left', async () => {
    const logs = {
      'events.demo': [
        [0n, 10n],
        [5n, 20n]
      ],
      'events.shop': [[0n, 7n]],
      'events.processed.demo': [[0n, 99n]],
      'events.dlq.demo': [[0n, 3n]],
      __consumer_offsets: [[0n, 1_000n]]
    } as const
    const commits = { load: { 'events.demo': { 0: 10n, 1: 18n } }, process: { 'events.shop': { 0: 7n } } }
    expect(await readPipelineStatus(createAdmin(logs, commits), ['process', 'load'])).toEqual({
      accepted: 37n,
      landed: 28n,
      lag: { process: 25n, load: 9n },
      deadLetters: 3n
    })
  })
})

describe('renderStatus', () => {
  const status = { accepted: 12_345n, landed: 12_340n, lag: { process: 0n, load: 5n }, deadLetters: 2n }

  it('is one line with the rate since the status before', () => {
    const before = { status: { ...status, accepted: 12_305n }, agoMs: 2_000 }
    expect(renderStatus(status, before)).toBe('accepted 12,345 (20/s) | landed 12,340 | lag process 0, load 5 | dead 2')
  })

  it('has no rate without a status before', () => {
    expect(renderStatus(status, undefined)).toContain('accepted 12,345 |')
  })
})
