// A range of an archive of two partitions: partition 0 has files of offsets 10-19, 20-29 and 30-39, partition 1 has 0-9.
// A record of offset n was appended at n seconds.
import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { createArchiveFileWriter } from '@millrace/stores/archive-file'
import type { ArchiveFile, ArchiveHead, ArchiveHole } from '@millrace/stores/archive-manifest'
import { loadArchiveRange, planArchiveRange } from './archive-range.ts'
import type { ArchiveRangeRequest } from './archive-range.ts'
import type { ReplayEdge } from './replay-plan.ts'

const topic = 'events.shop'
const all = { kind: 'all' } as const

function archived(partition: number, first: number, holes: readonly number[] = []) {
  const parts: Buffer[] = []
  const writer = createArchiveFileWriter((part) => void parts.push(Buffer.from(part)))
  const offsets = Array.from({ length: 10 }, (_, index) => first + index).filter((offset) => !holes.includes(offset))
  const value = Buffer.from('{}')
  const rest = { topic, partition, key: null, headers: '{}', event: undefined, value }
  writer.group(offsets.map((offset) => ({ ...rest, offset: BigInt(offset), appendedAtMs: offset * 1_000 })))
  writer.finish()
  const bytes = Buffer.concat(parts)
  const file: ArchiveFile = {
    topic,
    partition,
    epoch: 2,
    first: BigInt(first),
    last: BigInt(first + 9),
    rows: offsets.length,
    holes: holes.length,
    firstAppendedAtMs: first * 1_000,
    lastAppendedAtMs: (first + 9) * 1_000,
    rawBytes: 1,
    fileBytes: bytes.byteLength,
    contentCrc: 0,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    key: `${partition}/${first}`
  }
  return { bytes, file }
}

function open() {
  const files = [archived(0, 10), archived(0, 20, [25]), archived(0, 30), archived(1, 0)]
  const older: ArchiveFile = { ...archived(0, 0).file, epoch: 1, key: 'older' }
  const head = (partition: number, position: bigint): ArchiveHead => ({
    topic,
    partition,
    epoch: 2,
    position,
    appendedAtMs: Number(position - 1n) * 1_000
  })
  const log = { topics: [topic], ends: [50n, 10n] }
  const holes: ArchiveHole[] = [{ first: 25n, last: 25n, reason: 'absent' }]
  const deps = {
    manifest: {
      heads: async (name: string) => (name === topic ? [head(0, 40n), head(1, 10n)] : []),
      files: async () => [older, ...files.map(({ file }) => file)],
      holes: async ({ partition, epoch }: Pick<ArchiveHead, 'partition' | 'epoch'>) =>
        partition === 0 && epoch === 2 ? holes : []
    },
    admin: {
      listTopics: async () => log.topics,
      ranges: async () => log.ends.map((end, partition) => ({ topic, partition, start: 0n, end }))
    }
  }
  const objects = new Map(files.map(({ file, bytes }) => [file.key, bytes]))
  const loaded: string[] = []
  const days = new Map([['shop', new Set([0])]])
  const clock = createManualClock(0)
  const plan = async (from: ReplayEdge, to: ReplayEdge = all, change: Partial<ArchiveRangeRequest> = {}) =>
    await planArchiveRange(deps, {
      projectId: 'shop',
      group: 'load',
      from,
      to,
      limit: 100n,
      acceptGone: false,
      ...change
    })
  const load = async (planned: Awaited<ReturnType<typeof plan>>, perSecond?: number) =>
    await loadArchiveRange(
      {
        objects: {
          async get(key) {
            const bytes = objects.get(key)
            if (bytes === undefined) throw new AppError('PIPE_NOT_FOUND', 'it is not there')
            return bytes
          }
        },
        sink: {
          check: async () => {},
          add: async (records) => void loaded.push(...records.map(({ partition, offset }) => `${partition}:${offset}`)),
          end: async () => ({ invalid: 1, refused: [], days })
        },
        clock
      },
      planned,
      perSecond
    )
  return { plan, load, loaded, log, holes, objects, clock }
}

const offsets = (...pairs: readonly (readonly [number, bigint])[]): ReplayEdge => ({
  kind: 'offsets',
  offsets: new Map(pairs)
})
const places = (partition: number, ...ranges: readonly (readonly [number, number])[]): string[] =>
  ranges.flatMap(([from, to]) => Array.from({ length: to - from }, (_, index) => `${partition}:${from + index}`))

it('takes offsets of the partitions that are named, out of the files that hold them, and loads no others', async () => {
  const { plan, load, loaded } = open()
  const planned = await plan(offsets([0, 15n]), offsets([0, 31n]))
  expect(planned.files.map(({ key }) => key)).toEqual(['0/10', '0/20', '0/30'])
  expect([planned.parts.map(({ partition, from, to }) => [partition, from, to]), planned.records]).toEqual([
    [[0, 15n, 31n]],
    15n
  ])
  expect([planned.refusals, planned.effect]).toEqual([[], 'reads'])
  const report = await load(planned)
  expect(report).toMatchObject({ files: 3, archived: 15, invalid: 1, broken: [], refused: [] })
  expect(report).toMatchObject({ isWhole: true, days: new Map([['shop', new Set([0])]]) })
  expect(loaded).toEqual(places(0, [15, 25], [26, 31]))
})

it('takes a time by when records were appended, in every partition', async () => {
  const { plan, load, loaded } = open()
  const planned = await plan({ kind: 'time', ms: 18_000 }, { kind: 'time', ms: 21_000 })
  expect([planned.files.map(({ key }) => key), planned.refusals]).toEqual([['0/10', '0/20'], []])
  await load(planned)
  expect(loaded).toEqual(['0:18', '0:19', '0:20'])
})

it('takes all of the newest log, at its rate, without an edge', async () => {
  const { plan, load, loaded, clock } = open()
  const planned = await plan(all)
  expect([planned.records, planned.refusals]).toEqual([39n, []])
  const loading = load(planned, 10)
  await clock.advance(2_000)
  expect(loaded.length).toBeLessThan(39)
  await clock.advance(2_000)
  await expect(loading).resolves.toMatchObject({ files: 4, archived: 39 })
})

it('refuses what the archive does not have, and says where it is', async () => {
  const { plan, load, log } = open()
  const refusals = async (...edges: readonly [ReplayEdge, ReplayEdge?]) => (await plan(...edges)).refusals
  const begins = 'the archive of partition 0 begins at 10; --from-offset earliest takes what there is'
  expect(await refusals(offsets([0, 9n]))).toEqual([begins])
  expect(await refusals({ kind: 'time', ms: 5_000 })).toEqual([begins])
  const ends = 'partition 0 is archived up to 40; what lies behind is replayed from the log, without --from-archive'
  expect(await refusals(offsets([0, 30n]), offsets([0, 41n]))).toEqual([ends])
  expect(await refusals({ kind: 'time', ms: 15_000 }, { kind: 'time', ms: 60_000 })).toEqual([ends])
  // The log has nothing behind the archive, or is gone: then the range is whole.
  log.ends = [40n, 10n]
  expect(await refusals({ kind: 'time', ms: 15_000 }, { kind: 'time', ms: 60_000 })).toEqual([])
  log.topics = []
  expect(await refusals({ kind: 'time', ms: 15_000 }, { kind: 'time', ms: 60_000 })).toEqual([])

  expect(await refusals(offsets([0, 25n]), offsets([0, 25n]))).toEqual([
    'there is no record in this range of the archive'
  ])
  const limited = await plan(all, all, { limit: 38n })
  expect(limited.refusals).toEqual(['39 records are more than 38; --limit 39 if they are meant'])
  await expect(load(limited)).rejects.toMatchObject({ code: 'PIPE_CONFLICT' })
  await expect(plan(offsets([7, 0n]))).rejects.toThrow('the archive has no partition 7')
  await expect(plan(all, all, { projectId: 'blog' })).rejects.toThrow("there is no archive of 'blog'")
})

it('loads the other files when one is not there', async () => {
  const { plan, load, loaded, objects } = open()
  objects.delete('0/20')
  const report = await load(await plan(offsets([0, 10n])))
  expect(report).toMatchObject({ files: 2, archived: 20, broken: [{ key: '0/20', problem: 'it is not there' }] })
  expect(report.isWhole).toBe(false)
  expect(loaded).toEqual(places(0, [10, 20], [30, 40]))
})

it('refuses a range with offsets that are gone for good, and loads the rest when somebody says so', async () => {
  const { plan, load, loaded, holes } = open()
  holes.push({ first: 17n, last: 20n, reason: 'expired' }, { first: 35n, last: 36n, reason: 'expired' })
  const gone = { topic, partition: 0, from: 18n, to: 21n }
  const refused = await plan(offsets([0, 18n]), offsets([0, 31n]))
  expect([refused.gone, refused.refusals]).toEqual([
    [gone],
    ['3 offsets of this range are gone, neither the archive nor the log has them; --accept-gone loads the others']
  ])
  await expect(load(refused)).rejects.toMatchObject({ code: 'PIPE_CONFLICT' })
  expect(loaded).toEqual([])
  // Behind the hole, and in another partition, nothing is missing.
  for (const whole of [await plan(offsets([0, 21n]), offsets([0, 35n])), await plan(offsets([1, 0n]))])
    expect([whole.gone, whole.refusals]).toEqual([[], []])
  const accepted = await plan(offsets([0, 18n]), offsets([0, 31n]), { acceptGone: true })
  expect([accepted.gone, accepted.refusals]).toEqual([[gone], []])
  expect(await load(accepted)).toMatchObject({ gone: [gone], broken: [], isWhole: false })
})
