import { describe, expect, it } from 'vitest'
import type { ArchiveFile, ArchiveHead, ArchiveHole } from '@millrace/stores/archive-manifest'
import { moveGroup } from './move-group.ts'
import { AppError } from '@millrace/kernel'
import { goalOf, planWarehouse, recordsOf } from './warehouse-plan.ts'

const topic = 'events.shop'
const head = (position: bigint, change: Partial<ArchiveHead> = {}): ArchiveHead => ({
  topic,
  partition: 0,
  epoch: 1,
  position,
  appendedAtMs: 1_000 + Number(position) - 1,
  ...change
})
const file = (first: bigint, last: bigint, epoch = 1): ArchiveFile => ({
  topic,
  partition: 0,
  epoch,
  first,
  last,
  rows: Number(last - first + 1n),
  holes: 0,
  firstAppendedAtMs: 0,
  lastAppendedAtMs: 0,
  rawBytes: 1,
  fileBytes: 1,
  sha256: '',
  contentCrc: 0,
  key: `${epoch}/${first}`
})

/** A partition whose records were appended at `firstMs` plus their offset. */
function setUp(heads: readonly ArchiveHead[], files: readonly ArchiveFile[], firstMs = 1_000) {
  const log = { start: 0n, end: 0n }
  const admin = {
    listTopics: async () => [topic, 'events.dlq.shop', 'events.blog'],
    ranges: async (name: string) => (name === topic ? [{ topic, partition: 0, ...log }] : []),
    offsetsAt: async (_topic: string, timeMs: number) => {
      const offset = BigInt(Math.max(0, timeMs - firstMs))
      return new Map([[0, offset < log.start ? log.start : offset > log.end ? log.end : offset]])
    }
  }
  const holes = new Map<number, readonly ArchiveHole[]>()
  const manifest = {
    allHeads: async () => heads,
    files: async () => files,
    holes: async ({ epoch }: Pick<ArchiveHead, 'epoch'>) => holes.get(epoch) ?? []
  }
  const plan = async (goal?: Awaited<ReturnType<typeof goalOf>>) =>
    await planWarehouse({ manifest, admin }, ['shop'], goal ?? (await goalOf(admin, ['shop'])))
  return { log, admin, manifest, holes, plan }
}

describe('plan of a rebuild', () => {
  it('reads the files, and the log from where they end', async () => {
    const { log, plan } = setUp([head(10n)], [file(0n, 4n), file(5n, 9n)])
    log.start = 3n
    log.end = 12n
    const planned = await plan()
    expect(planned.files.map(({ key }) => key)).toEqual(['1/0', '1/5'])
    expect([planned.tails, planned.gone]).toEqual([[{ topic, partition: 0, from: 10n, to: 12n }], []])
    expect(recordsOf(planned)).toBe(12)
  })

  it('says which offsets are in no file and not in the log any more', async () => {
    const { log, plan } = setUp([head(10n)], [file(0n, 9n)])
    log.start = 15n
    log.end = 20n
    const planned = await plan()
    expect(planned.gone).toEqual([{ topic, partition: 0, from: 10n, to: 15n }])
    expect(planned.tails).toEqual([{ topic, partition: 0, from: 15n, to: 20n }])
  })

  it('counts what had expired before it was archived as gone, in logs of any age, up to its goal', async () => {
    const heads = [head(10n), head(20n, { epoch: 2 })]
    const { log, admin, holes, plan } = setUp(heads, [file(0n, 9n), file(0n, 9n, 2), file(10n, 19n, 2)])
    holes.set(1, [{ first: 7n, last: 7n, reason: 'expired' }])
    holes.set(2, [
      { first: 0n, last: 2n, reason: 'expired' },
      { first: 5n, last: 5n, reason: 'absent' },
      { first: 15n, last: 17n, reason: 'expired' }
    ])
    log.start = 3n
    log.end = 9n
    const goal = await goalOf(admin, ['shop'])
    log.end = 20n
    const parts = [
      { topic, partition: 0, from: 7n, to: 8n },
      { topic, partition: 0, from: 0n, to: 3n }
    ]
    expect((await plan(goal)).gone).toEqual(parts)
    expect((await plan()).gone).toEqual([...parts, { topic, partition: 0, from: 15n, to: 18n }])
  })

  it('leaves out what is archived behind its goal, and takes what was archived before it meanwhile', async () => {
    const heads = [head(5n)]
    const files = [file(0n, 4n)]
    const { log, admin, plan } = setUp(heads, files)
    log.end = 8n
    const goal = await goalOf(admin, ['shop'])
    log.end = 30n
    heads[0] = head(20n)
    files.push(file(5n, 9n), file(10n, 19n))
    const planned = await plan(goal)
    expect(planned.files.map(({ key }) => key)).toEqual(['1/0', '1/5'])
    expect(planned.tails).toEqual([])
  })

  it('reads the files of older logs, and all of a log that is not archived yet', async () => {
    // Records of the log that exists now were appended after everything that is archived.
    const { log, plan } = setUp([head(10n)], [file(0n, 9n)], 5_000)
    log.end = 12n
    const planned = await plan()
    expect(planned.files).toHaveLength(1)
    expect(planned.tails).toEqual([{ topic, partition: 0, from: 0n, to: 12n }])
  })

  it('is the archive alone without a log', async () => {
    const { manifest } = setUp([head(10n)], [file(0n, 9n)])
    const planned = await planWarehouse({ manifest, admin: undefined }, [], await goalOf(undefined, []))
    expect([planned.projects, planned.files.length, planned.tails, planned.gone]).toEqual([['shop'], 1, [], []])
  })
})

describe('move of a group', () => {
  const goal = new Map([
    [
      topic,
      new Map([
        [0, 10n],
        [1, 5n]
      ])
    ]
  ])
  const setGroup = (committed: ReadonlyMap<number, bigint>, refusal?: AppError) => {
    const moves: [number, bigint][] = []
    const admin = {
      groupOffsets: async () => committed,
      async setGroupOffsets(_group: string, _topic: string, offsets: ReadonlyMap<number, bigint>) {
        if (refusal !== undefined) throw refusal
        moves.push(...offsets)
      }
    }
    return { move: () => moveGroup(admin, 'load', goal), moves }
  }

  it('goes forward where it is behind, and never back', async () => {
    const { move, moves } = setGroup(
      new Map([
        [0, 3n],
        [1, 7n]
      ])
    )
    expect([await move(), moves]).toEqual(['moved', [[0, 10n]]])
    expect(
      await setGroup(
        new Map([
          [0, 10n],
          [1, 7n]
        ])
      ).move()
    ).toBe('ahead')
  })

  it('leaves a group with members alone', async () => {
    expect(await setGroup(new Map(), new AppError('PIPE_CONFLICT', 'members')).move()).toBe('running')
    const down = new AppError('PIPE_KAFKA_UNAVAILABLE', 'down')
    await expect(setGroup(new Map(), down).move()).rejects.toBe(down)
  })
})
