import { describe, expect, it } from 'vitest'
import type { ArchiveHead } from '@millrace/stores/archive-manifest'
import { headsOf } from './heads.ts'

const topic = 'events.a'
const head = { topic, partition: 0, epoch: 3, position: 10n, appendedAtMs: 500 }
/** Append times of the records of a log, by offset. */
const log = (start: bigint, times: readonly number[]) => ({
  range: { topic, partition: 0, start, end: start + BigInt(times.length) },
  offsetsAt: async (_topic: string, timeMs: number) => {
    const found = times.findIndex((time) => time >= timeMs)
    return new Map([[0, start + BigInt(found < 0 ? times.length : found)]])
  }
})
const upTo = (count: number, lastMs: number) => Array.from({ length: count }, (_, index) => lastMs - count + 1 + index)

describe('heads', () => {
  function setUp(known: readonly ArchiveHead[], { range, offsetsAt }: ReturnType<typeof log>) {
    const others: ArchiveHead[] = []
    const manifest = {
      heads: async () => known,
      open: async (at: Pick<ArchiveHead, 'topic' | 'partition' | 'epoch'>) => ({
        ...at,
        position: 0n,
        appendedAtMs: -1
      })
    }
    const admin = { ranges: async () => [range], offsetsAt }
    const onOtherLog = (other: ArchiveHead) => void others.push(other)
    return { heads: () => headsOf({ manifest, admin, onOtherLog }, [{ topic, partition: 0 }]), others }
  }

  it('are made at the beginning where they are new', async () => {
    const { heads, others } = setUp([], log(4n, [1, 2]))
    expect(await heads()).toEqual([{ topic, partition: 0, epoch: 1, position: 0n, appendedAtMs: -1 }])
    expect(others).toEqual([])
  })

  it('stay where they are in the same log', async () => {
    const { heads } = setUp([head], log(0n, upTo(10, 500)))
    expect(await heads()).toEqual([head])
  })

  it('begin a new epoch in another log, and say so', async () => {
    const { heads, others } = setUp([head], log(0n, upTo(20, 900)))
    expect(await heads()).toEqual([{ topic, partition: 0, epoch: 4, position: 0n, appendedAtMs: -1 }])
    expect(others).toEqual([head])
  })
})
