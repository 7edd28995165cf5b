import { expect, test } from 'vitest'
import type { ArchiveFile, ArchiveHole } from '@millrace/stores/archive-manifest'
import { max } from './offsets.ts'
import { rangeOf, without } from './reconcile-range.ts'
import type { RangeDeps, RangeWanted } from './reconcile-range.ts'

const admin = {
  ranges: async () => [
    { topic: 'events.a', partition: 0, start: 100n, end: 1_100n },
    { topic: 'events.a', partition: 1, start: 0n, end: 500n },
    { topic: 'events.a', partition: 2, start: 0n, end: 0n }
  ],
  /** Partition 0 has an offset a millisecond from 100 on. */
  offsetsAt: async (_topic: string, atMs: number) => new Map([[0, BigInt(Math.max(100, Math.min(1_100, atMs)))]]),
  groupOffsets: async () =>
    new Map([
      [0, 1_000n],
      [1, 400n]
    ])
}
const wanted = { topic: 'events.a', loadGroup: 'load', fromMs: undefined, toMs: undefined, most: Infinity }
const rangeOfLog = (change: Partial<RangeWanted> = {}) =>
  rangeOf({ admin, manifest: undefined }, { ...wanted, ...change })

test('reaches from the beginning of the log to where the loaders are', async () => {
  expect(await rangeOfLog()).toMatchObject({
    parts: [
      { partition: 0, from: 100n, to: 1_000n },
      { partition: 1, from: 0n, to: 400n },
      { partition: 2, from: 0n, to: 0n }
    ],
    files: [],
    gone: [],
    pending: 200n,
    cut: 0n
  })
})

test('is narrowed by times', async () => {
  const { parts, pending } = await rangeOfLog({ fromMs: 200, toMs: 900 })
  expect([parts[0], pending]).toEqual([{ partition: 0, from: 200n, to: 900n }, 100n])
})

test('keeps the newest part of every partition when there are too many records, and says how many are left out', async () => {
  const { parts, cut } = await rangeOfLog({ most: 650 })
  expect([parts, cut]).toEqual([
    [
      { partition: 0, from: 550n, to: 1_000n },
      { partition: 1, from: 200n, to: 400n },
      { partition: 2, from: 0n, to: 0n }
    ],
    650n
  ])
})

/** Files of partition 0 whose records were appended a millisecond each. */
function withArchive(
  files: readonly (readonly [first: number, last: number])[],
  holes: readonly ArchiveHole[] = [],
  log: RangeDeps['admin'] = admin
) {
  const at = { topic: 'events.a', partition: 0, epoch: 0 }
  const last = files.at(-1)?.[1] ?? -1
  const manifest = {
    heads: async () => [{ ...at, position: BigInt(last + 1), appendedAtMs: last }],
    files: async (): Promise<readonly ArchiveFile[]> =>
      files.map(([first, end]) => ({
        ...at,
        first: BigInt(first),
        last: BigInt(end),
        rows: end - first + 1,
        holes: 0,
        firstAppendedAtMs: first,
        lastAppendedAtMs: end,
        rawBytes: 1,
        fileBytes: 1,
        sha256: '',
        contentCrc: 0,
        key: `${first}-${end}`
      })),
    holes: async () => holes
  }
  return async (change: Partial<RangeWanted>) => {
    const { parts, files: chosen, gone, pending } = await rangeOf({ admin: log, manifest }, { ...wanted, ...change })
    return { part: parts[0], files: chosen.map(({ key }) => key), gone, pending }
  }
}
const part = (from: bigint, to: bigint) => ({ partition: 0, from, to })

test('reaches into the archive, by whole files, for what retention took since the time that was asked for', async () => {
  const range = withArchive([
    [0, 29],
    [30, 79],
    [80, 129],
    [130, 400]
  ])
  expect(await range({ fromMs: 40 })).toEqual({
    part: part(30n, 1_000n),
    files: ['30-79', '80-129'],
    gone: [],
    pending: 200n
  })
  // Nothing older than the log was asked for.
  expect(await range({ fromMs: 300 })).toMatchObject({ part: part(300n, 1_000n), files: [] })
  expect(await range({ fromMs: undefined })).toMatchObject({ part: part(100n, 1_000n), files: [] })
})

test('ends in the archive when the time ends there', async () => {
  const range = withArchive([
    [0, 29],
    [30, 59],
    [60, 99]
  ])
  expect(await range({ fromMs: 0, toMs: 40 })).toMatchObject({
    part: part(0n, 60n),
    files: ['0-29', '30-59'],
    gone: []
  })
  expect(await range({ fromMs: 70, toMs: 90 })).toMatchObject({ part: part(60n, 100n), files: ['60-99'], gone: [] })
})

test('tells what neither the log nor the archive has', async () => {
  const range = withArchive(
    [
      [0, 29],
      [30, 79]
    ],
    [
      { first: 10n, last: 12n, reason: 'expired' },
      { first: 40n, last: 44n, reason: 'absent' },
      { first: 50n, last: 59n, reason: 'expired' }
    ]
  )
  expect(await range({ fromMs: 35 })).toMatchObject({
    part: part(30n, 1_000n),
    gone: [part(50n, 60n), part(80n, 100n)]
  })
})

test('tells what neither has also when nothing that was archived is as young as what is asked for', async () => {
  const behind = withArchive([[0, 40]])
  const lost = { files: [], gone: [part(41n, 100n)] }
  expect(await behind({ fromMs: 60 })).toEqual({ ...lost, part: part(41n, 1_000n), pending: 200n })
  expect(await behind({ fromMs: 60, toMs: 90 })).toMatchObject({ ...lost, part: part(41n, 100n) })
  // What is lost is younger than that.
  expect(await behind({ fromMs: 10, toMs: 30 })).toMatchObject({ part: part(0n, 41n), gone: [] })
  // The log has all of it, or the archive all that is older.
  expect(await behind({ fromMs: 300 })).toMatchObject({ part: part(300n, 1_000n), gone: [] })
  expect(await behind({ fromMs: undefined })).toMatchObject({ part: part(100n, 1_000n), gone: [] })
  expect(await withArchive([[0, 99]])({ fromMs: 100 })).toMatchObject({ part: part(100n, 1_000n), gone: [] })
})

test('tells that nobody has what retention took when nothing was archived', async () => {
  expect(await withArchive([])({ fromMs: 60, toMs: 90 })).toMatchObject({
    part: part(0n, 100n),
    gone: [part(0n, 100n)]
  })
  const none = { heads: async () => [], files: async () => [], holes: async () => [] }
  const { parts, gone } = await rangeOf({ admin, manifest: none }, { ...wanted, fromMs: 60 })
  expect([parts[0], parts[1], gone]).toEqual([part(0n, 1_000n), { partition: 1, from: 0n, to: 400n }, [part(0n, 100n)]])
})

test('takes no files of another log under the same name: nobody has what that lost', async () => {
  const range = withArchive([[0, 2_000]])
  expect(await range({ fromMs: 0 })).toMatchObject({ part: part(0n, 1_000n), files: [], gone: [part(0n, 100n)] })
})

test('reads every record of log or archive when retention takes some while it is asked', async () => {
  let start = 50n
  const moving = {
    ...admin,
    ranges: async () => [{ topic: 'events.a', partition: 0, start: (start += 50n), end: 1_100n }],
    offsetsAt: async (_topic: string, atMs: number) => new Map([[0, max(start, BigInt(Math.min(atMs, 1_100)))]])
  }
  const files = [[0, 79] as const, [80, 119] as const, [120, 149] as const, [150, 400] as const]
  const range = await withArchive(files, [], moving)({ fromMs: 40 })
  const begin = start
  expect([range.part, range.files]).toEqual([
    part(0n, 1_000n),
    files.filter(([first]) => first < begin).map((each) => each.join('-'))
  ])
  expect(range.gone).toEqual([])
})

test('leaves holes out of parts', () => {
  const holes = [part(0n, 3n), part(5n, 6n), part(9n, 20n), { partition: 1, from: 3n, to: 4n }]
  expect(without([part(1n, 10n), { partition: 2, from: 0n, to: 1n }], holes)).toEqual([
    part(3n, 5n),
    part(6n, 9n),
    { partition: 2, from: 0n, to: 1n }
  ])
})
