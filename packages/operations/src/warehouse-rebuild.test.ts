import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { enrich } from '@millrace/contracts'
import type { RawRecord } from '@millrace/contracts'
import { AppError, createManualClock, systemClock } from '@millrace/kernel'
import { createArchiveFileWriter } from '@millrace/stores/archive-file'
import { createMemoryCluster } from '@millrace/kafka'
import type { ArchiveFile, ArchiveHead } from '@millrace/stores/archive-manifest'
import { countsAsWhole, rebuildWarehouse } from './warehouse-rebuild.ts'
import { createWarehouseSink } from './warehouse-sink.ts'

const topic = 'events.shop'

/** A file of `count` records from `first` on, and its row in the manifest. */
function archived(first: number, count: number): { readonly bytes: Buffer; readonly file: ArchiveFile } {
  const parts: Buffer[] = []
  const writer = createArchiveFileWriter((part) => void parts.push(Buffer.from(part)))
  const rows = Array.from({ length: count }, (_, index) => {
    const value = Buffer.from(JSON.stringify({ eventId: `e-${first + index}`, eventType: 'view' }))
    const place = { topic, partition: 0, offset: BigInt(first + index), appendedAtMs: 1_000, key: null }
    return { ...place, value, headers: '{}', event: undefined }
  })
  writer.group(rows)
  writer.finish()
  const bytes = Buffer.concat(parts)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const last = BigInt(first + count - 1)
  const sizes = { rows: count, holes: 0, rawBytes: 1, fileBytes: bytes.byteLength, contentCrc: 0 }
  const times = { firstAppendedAtMs: 1_000, lastAppendedAtMs: 1_000 }
  const place = { topic, partition: 0, epoch: 1, first: BigInt(first), last, key: `k-${first}` }
  return { bytes, file: { ...place, ...sizes, ...times, sha256 } }
}

function setUp(files: readonly { readonly bytes: Buffer; readonly file: ArchiveFile }[]) {
  const loaded: number[] = []
  const objects = new Map(files.map(({ bytes, file }) => [file.key, bytes]))
  const clock = createManualClock(0)
  const done: number[] = []
  const rebuild = (perSecond?: number) =>
    rebuildWarehouse(
      {
        manifest: { allHeads: async () => [], files: async () => files.map(({ file }) => file), holes: async () => [] },
        objects: {
          async get(key) {
            const bytes = objects.get(key)
            if (bytes === undefined) throw new AppError('PIPE_NOT_FOUND', 'it is not there')
            return bytes
          }
        },
        log: undefined,
        sink: {
          check: async () => {},
          add: async (records) => void loaded.push(...records.map(({ offset }) => Number(offset))),
          end: async () => ({ invalid: 0, refused: [], days: new Map() })
        },
        clock,
        onProgress: (progress) => void done.push(progress.done)
      },
      { projects: [], group: 'load', perSecond }
    )
  return { loaded, objects, clock, done, rebuild }
}

describe('rebuild of the warehouse', () => {
  it('loads every file and says what is broken', async () => {
    const { objects, loaded, done, rebuild } = setUp([archived(0, 3), archived(3, 2), archived(5, 2), archived(7, 1)])
    objects.delete('k-3')
    objects.set('k-5', Buffer.concat([objects.get('k-5') ?? Buffer.alloc(0), Buffer.from('x')]))
    expect(await rebuild()).toMatchObject({
      files: 2,
      archived: 4,
      broken: [
        { key: 'k-3', problem: 'it is not there' },
        { key: 'k-5', problem: 'it is not the file that was archived' }
      ],
      group: 'untouched'
    })
    expect([loaded, done]).toEqual([
      [0, 1, 2, 7],
      [3, 4]
    ])
  })

  it('goes no faster than it is asked to', async () => {
    const { loaded, clock, rebuild } = setUp([archived(0, 4), archived(4, 1)])
    const rebuilt = rebuild(2)
    await clock.advance(1_999)
    expect(loaded).toHaveLength(4)
    await clock.advance(1)
    await clock.advance(500)
    await expect(rebuilt).resolves.toMatchObject({ archived: 5, elapsedMs: 2_500 })
  })
})

describe('rebuild with a log', () => {
  it('looks again in the archive for what the log forgot while it was read', async () => {
    const cluster = createMemoryCluster({ clock: systemClock, maxRecords: 10 })
    await cluster.admin.createTopics([{ topic, partitions: 1, replicationFactor: 1, config: {} }])
    for (let offset = 0; offset < 60; offset++)
      cluster.append({ topic, partition: 0 }, JSON.stringify({ eventId: `e-${offset}`, eventType: 'view' }))
    const { bytes, file } = archived(0, 30)
    const heads: ArchiveHead[] = []
    let asked = 0
    const admin = {
      ...cluster.admin,
      async ranges(name: string) {
        const ranges = await cluster.admin.ranges(name)
        // Between the plan and the reading the log loses its beginning, and the archiver gets a part of it.
        if (++asked === 3) {
          cluster.trim({ topic, partition: 0 }, 50n)
          heads.push({ topic, partition: 0, epoch: 1, position: 30n, appendedAtMs: -1 })
        }
        return ranges
      }
    }
    const loaded: number[] = []
    const report = await rebuildWarehouse(
      {
        manifest: {
          allHeads: async () => heads,
          files: async () => (heads.length === 0 ? [] : [file]),
          holes: async () => []
        },
        objects: { get: async () => bytes },
        log: { admin, client: cluster.client(), clock: systemClock },
        sink: {
          check: async () => {},
          add: async (records) => void loaded.push(...records.map(({ offset }) => Number(offset))),
          end: async () => ({ invalid: 0, refused: [], days: new Map() })
        },
        clock: systemClock
      },
      { projects: [], group: 'load' }
    )
    expect(report).toMatchObject({ files: 1, archived: 30, logged: 10, isWhole: false, group: 'moved' })
    expect([countsAsWhole(report, false), countsAsWhole(report, true)]).toEqual([false, true])
    expect(countsAsWhole({ ...report, broken: [{ key: 'k', problem: 'missing' }] }, true)).toBe(false)
    expect(report.gone).toEqual([{ topic, partition: 0, from: 30n, to: 50n }])
    expect(loaded.toSorted((a, b) => a - b)).toEqual([
      ...Array.from({ length: 30 }, (_, index) => index),
      ...Array.from({ length: 10 }, (_, index) => 50 + index)
    ])
  })
})

describe('sink of the warehouse', () => {
  const record = (offset: number, value = `{"eventId":"e-${offset}","eventType":"view"}`): RawRecord => ({
    topic,
    partition: 1,
    offset: BigInt(offset),
    appendedAtMs: 1_000,
    value: Buffer.from(value)
  })
  function open(refuse: (body: string) => AppError | undefined) {
    const bodies: string[] = []
    const clickhouse = {
      database: 'app',
      rows: async () => [],
      async insertLines(table: string, _columns: readonly string[], body: unknown) {
        const text = Buffer.concat(body as readonly Buffer[]).toString()
        const error = refuse(text)
        if (error !== undefined) throw error
        if (table === 'events_raw') bodies.push(text)
      }
    }
    const clock = { ...systemClock, sleep: async () => {} }
    return { sink: createWarehouseSink({ clickhouse, enrich, clock }), bodies }
  }

  it('searches the record that is refused, loads the others, and counts what is no event', async () => {
    const bad = new AppError('PIPE_CLICKHOUSE_REFUSED', 'bad row')
    const { sink, bodies } = open((body) => (body.includes('e-3\t') ? bad : undefined))
    await sink.add([0, 1, 2, 3, 4].map((offset) => record(offset)))
    await sink.add([record(5, '[]')])
    expect(await sink.end()).toEqual({
      invalid: 1,
      refused: [{ topic, partition: 1, offset: 3n }],
      days: new Map([['shop', new Set([0])]])
    })
    const ids = bodies.join('').match(/e-\d/g)
    expect(ids).toEqual(['e-0', 'e-1', 'e-2', 'e-4'])
  })

  it('loads a batch again while the server is away, and ends with what is no weather', async () => {
    let away = 2
    const down = new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'down')
    const patient = open(() => (away-- > 0 ? down : undefined))
    await patient.sink.add([record(0)])
    await patient.sink.end()
    expect(patient.bodies).toHaveLength(1)
    const drift = new AppError('PIPE_TABLE_DRIFT', 'another table')
    const broken = open(() => drift)
    await broken.sink.add([record(0)])
    await expect(broken.sink.end()).rejects.toBe(drift)
  })
})
