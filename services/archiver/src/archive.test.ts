import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import type { Batch } from '@millrace/consumer'
import { bindMetrics, createRegistry } from '@millrace/observability'
import type { ArchiveFile, ArchiveHead, ArchiveHole, Claim } from '@millrace/stores/archive-manifest'
import { createArchive } from './archive.ts'
import type { PackedRecord } from './block.ts'
import { createCloseRange } from './close-range.ts'
import { archiverMetrics } from './metrics.ts'
import type { RangeLimits } from './range.ts'

const at = (partition: number) => ({ topic: 'events.a', partition })
const keep = new AbortController().signal
const limits: RangeLimits = {
  fileBytes: 10_000,
  flushAfterMs: 1_000,
  smallBytes: 300,
  tailAfterMs: 5_000,
  totalBytes: 1e6
}

/** One archiver over stores that live in this function; several may share a manifest. */
function setUp(options: { limits?: Partial<RangeLimits>; shared?: Map<string, bigint>; logStart?: bigint } = {}) {
  const clock = createManualClock(1_000_000)
  const positions = options.shared ?? new Map<string, bigint>()
  const files: ArchiveFile[] = []
  const holes: ArchiveHole[] = []
  const puts: string[] = []
  const spools = new Map<number, number>()
  const fails: { put?: AppError | undefined; claim?: AppError | undefined; append?: AppError | undefined } = {}
  const positionOf = (partition: number): bigint => positions.get(String(partition)) ?? 0n
  const encoder = {
    async append(spool: number, _log: unknown, block: { count: number; content: Uint8Array }) {
      if (fails.append !== undefined) throw fails.append
      spools.set(spool, (spools.get(spool) ?? 0) + block.count)
      return { memoryBytes: (spools.get(spool) ?? 0) * 100, fileBytes: 0 }
    },
    finish: async (spool: number) => ({ fd: spool, bytes: spools.get(spool) ?? 0, sha256: 'f'.repeat(64) }),
    drop: async (spool: number) => void spools.delete(spool)
  }
  const manifest = {
    async claim(file: ArchiveFile, declared: readonly ArchiveHole[]): Promise<Claim> {
      if (fails.claim !== undefined) throw fails.claim
      const position = positionOf(file.partition)
      if (position !== file.first) return { kind: 'moved', position }
      positions.set(String(file.partition), file.last + 1n)
      files.push(file)
      holes.push(...declared)
      return { kind: 'claimed' }
    }
  }
  const objects = {
    async put(key: string) {
      if (fails.put !== undefined) throw fails.put
      puts.push(key)
      return 'stored' as const
    }
  }
  const registry = createRegistry()
  const metrics = bindMetrics(archiverMetrics, registry)
  const faults = { at: () => {} }
  const archive = createArchive({
    closeRange: createCloseRange({
      manifest,
      objects,
      encoder,
      metrics,
      clock,
      faults,
      logStart: async () => options.logStart ?? 0n
    }),
    encoder,
    headsOf: async (partitions): Promise<ArchiveHead[]> =>
      partitions.map((each) => ({ ...each, epoch: 1, position: positionOf(each.partition), appendedAtMs: -1 })),
    limits: { ...limits, ...options.limits },
    metrics,
    clock,
    faults
  })
  const waitingSeconds = async () =>
    (await registry.getSingleMetric('analytics_archive_oldest_record_seconds')?.get())?.values[0]?.value
  const ranges = () => files.map(({ partition, first, last, rows }) => [partition, first, last, rows])
  return { archive, clock, files, holes, puts, spools, fails, positions, ranges, waitingSeconds }
}

/** A batch of the offsets `[from, to)` without those in `absent`. */
function batch(partition: number, from: bigint, to: bigint, absent: readonly bigint[] = []): Batch<PackedRecord> {
  const items: PackedRecord[] = []
  for (let offset = from; offset < to; offset++) {
    if (absent.includes(offset)) continue
    items.push({ offset, key: null, value: Buffer.alloc(84), headers: {}, appendedAtMs: Number(offset) + 7 })
  }
  return { items, ranges: [{ ...at(partition), from, to, start: 0, count: items.length }] }
}

const context = { signal: keep }
const away = new AppError('PIPE_OBJECTS_UNAVAILABLE', 'no answer')

describe('archive', () => {
  it('goes on at the head, collects, and makes a file of a range that is large enough', async () => {
    const { archive, ranges, files, positions } = setUp({ shared: new Map([['0', 5n]]) })
    expect(await archive.startAt([at(0), at(1)])).toEqual(
      new Map([
        ['events.a:0', 5n],
        ['events.a:1', 0n]
      ])
    )
    expect(await archive.handle(batch(0, 5n, 65n), context)).toHaveLength(60)
    expect(ranges()).toEqual([])
    await archive.handle(batch(0, 65n, 110n), context)
    expect(ranges()).toEqual([[0, 5n, 109n, 105]])
    expect(files[0]).toMatchObject({ holes: 0, rawBytes: 10_500, firstAppendedAtMs: 12, lastAppendedAtMs: 116 })
    expect([positions.get('0'), archive.archivedTo(at(0)), archive.archivedTo(at(9))]).toEqual([110n, 110n, undefined])
  })

  it('makes a file of a range by its age, and of the tail of a quiet partition later', async () => {
    const { archive, clock, ranges } = setUp()
    await archive.startAt([at(0), at(1)])
    await archive.handle(batch(0, 0n, 3n), context)
    await archive.handle(batch(1, 0n, 2n), context)
    await clock.advance(999)
    expect(await archive.closeDue(keep)).toEqual({ readOn: [], failure: undefined })
    expect(ranges()).toEqual([])
    await clock.advance(1)
    await archive.closeDue(keep)
    expect(ranges()).toEqual([[0, 0n, 2n, 3]])
    await clock.advance(4_000)
    await archive.closeDue(keep)
    expect(ranges()).toEqual([
      [0, 0n, 2n, 3],
      [1, 0n, 1n, 2]
    ])
  })

  it('closes the largest range first when all of them take too much', async () => {
    const { archive, ranges, spools } = setUp({ limits: { totalBytes: 1_000 } })
    await archive.startAt([at(0), at(1), at(2)])
    await archive.handle(batch(0, 0n, 3n), context)
    await archive.handle(batch(1, 0n, 6n), context)
    await archive.handle(batch(2, 0n, 2n), context)
    expect(ranges()).toEqual([[1, 0n, 5n, 6]])
    expect(spools.size).toBe(2)
  })

  it('keeps a range that could not be stored, and takes nothing twice when its batch comes again', async () => {
    const { archive, fails, ranges, puts } = setUp()
    await archive.startAt([at(0)])
    fails.put = away
    await expect(archive.handle(batch(0, 0n, 100n), context)).rejects.toBe(away)
    await expect(archive.handle(batch(0, 0n, 100n), context)).rejects.toBe(away)
    fails.put = undefined
    fails.claim = new AppError('PIPE_POSTGRES_UNAVAILABLE', 'no answer')
    await expect(archive.handle(batch(0, 0n, 100n), context)).rejects.toBe(fails.claim)
    fails.claim = undefined
    expect(await archive.handle(batch(0, 0n, 100n), context)).toHaveLength(100)
    expect(ranges()).toEqual([[0, 0n, 99n, 100]])
    expect(puts).toHaveLength(2)
    expect(await archive.handle(batch(0, 100n, 101n), context)).toHaveLength(1)
  })

  it('drops its range and reads on at the head when another owner was faster', async () => {
    const shared = new Map<string, bigint>()
    const one = setUp({ shared })
    const two = setUp({ shared })
    await one.archive.startAt([at(0)])
    await two.archive.startAt([at(0)])
    await one.archive.handle(batch(0, 0n, 40n), context)
    await two.archive.handle(batch(0, 0n, 100n), context)
    expect(await one.archive.handle(batch(0, 40n, 120n), context)).toEqual({
      kind: 'rewind',
      to: [{ ...at(0), offset: 100n }]
    })
    expect(one.spools.size).toBe(0)
    await one.archive.handle(batch(0, 100n, 200n), context)
    expect([one.ranges(), two.ranges()]).toEqual([[[0, 100n, 199n, 100]], [[0, 0n, 99n, 100]]])
    await two.archive.handle(batch(0, 100n, 110n), context)
    await two.clock.advance(1_000)
    expect(await two.archive.closeDue(keep)).toEqual({ readOn: [{ ...at(0), offset: 200n }], failure: undefined })
  })

  it('reads again from the head when the disk lost the range', async () => {
    const { archive, fails, ranges } = setUp()
    await archive.startAt([at(0)])
    await archive.handle(batch(0, 0n, 40n), context)
    fails.append = new AppError('PIPE_SPOOL_UNAVAILABLE', 'ENOSPC')
    await expect(archive.handle(batch(0, 40n, 50n), context)).rejects.toBe(fails.append)
    fails.append = undefined
    expect(await archive.handle(batch(0, 40n, 50n), context)).toMatchObject({ kind: 'rewind', to: [{ offset: 0n }] })
    await archive.handle(batch(0, 0n, 100n), context)
    expect(ranges()).toEqual([[0, 0n, 99n, 100]])
  })

  it('goes on with its range after a rebalance, unless the head moved or the partition went away meanwhile', async () => {
    const { archive, positions, spools } = setUp()
    await archive.startAt([at(0), at(1), at(2)])
    for (const partition of [0, 1, 2]) await archive.handle(batch(partition, 0n, 4n), context)
    positions.set('1', 2n)
    expect(await archive.startAt([at(0), at(1)])).toEqual(
      new Map([
        ['events.a:0', 4n],
        ['events.a:1', 2n]
      ])
    )
    await new Promise(setImmediate)
    expect(spools.size).toBe(1)
    expect(archive.archivedTo(at(2))).toBeUndefined()
  })

  it('declares offsets that the log did not have, and whether they expired', async () => {
    const { archive, ranges, holes, files } = setUp({ logStart: 3n })
    await archive.startAt([at(0)])
    await archive.handle(batch(0, 0n, 110n, [0n, 1n, 2n, 50n, 51n, 109n]), context)
    expect(ranges()).toEqual([[0, 0n, 109n, 104]])
    expect(files[0]?.holes).toBe(6)
    expect(holes).toEqual([
      { first: 0n, last: 2n, reason: 'expired' },
      { first: 50n, last: 51n, reason: 'absent' },
      { first: 109n, last: 109n, reason: 'absent' }
    ])
  })

  it('never makes a file of nothing', async () => {
    const { archive, clock, files } = setUp({ limits: { flushAfterMs: 1, tailAfterMs: 1, smallBytes: 0 } })
    await archive.startAt([at(0)])
    await archive.handle(batch(0, 0n, 3n, [0n, 1n, 2n]), context)
    await clock.advance(10)
    await archive.closeDue(keep)
    expect(files).toEqual([])
    await archive.handle(batch(0, 3n, 4n), context)
    await clock.advance(10)
    await archive.closeDue(keep)
    expect(files.map(({ first, last, rows, holes }) => [first, last, rows, holes])).toEqual([[0n, 3n, 1, 3]])
  })

  it('tells of a failure by age and tries again', async () => {
    const { archive, clock, fails, ranges, waitingSeconds } = setUp()
    await archive.startAt([at(0)])
    await archive.handle(batch(0, 0n, 4n), context)
    await clock.advance(1_000)
    fails.put = away
    expect(await archive.closeDue(keep)).toEqual({ readOn: [], failure: away })
    expect(await waitingSeconds()).toBe((1_001_000 - 7) / 1_000)
    fails.put = undefined
    expect(await archive.closeDue(keep)).toEqual({ readOn: [], failure: undefined })
    expect(ranges()).toEqual([[0, 0n, 3n, 4]])
    await archive.closeDue(keep)
    expect(await waitingSeconds()).toBe(0)
  })
})
