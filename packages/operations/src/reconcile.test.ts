import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { dlqTopic, rawTopic } from '@millrace/contracts'
import { createMemoryCluster } from '@millrace/kafka'
import { createManualClock, systemClock } from '@millrace/kernel'
import { createArchiveFileWriter } from '@millrace/stores/archive-file'
import type { ArchiveHole } from '@millrace/stores/archive-manifest'
import { reconcile } from './reconcile.ts'
import type { ArchiveReading, ReconcileRequest } from './reconcile.ts'

const project = 'shop'
const at = { topic: rawTopic(project), partition: 0 }

/** A project with so many records that are no events, and an empty warehouse. */
async function open(records: number) {
  const clock = createManualClock()
  const cluster = createMemoryCluster({ clock })
  const plain = { partitions: 1, replicationFactor: 1, config: {} }
  await cluster.admin.createTopics([at.topic, dlqTopic(project)].map((topic) => ({ topic, ...plain })))
  for (let each = 0; each < records; each++) cluster.append(at, 'no event')
  return {
    cluster,
    clock,
    /** The group has done everything. */
    pass: (group: string) => cluster.admin.setGroupOffsets(group, at.topic, new Map([[0, BigInt(records)]])),
    compare: (change: Partial<ReconcileRequest> = {}, archive?: ArchiveReading) =>
      reconcile(
        {
          admin: cluster.admin,
          log: { client: cluster.client(), clock: systemClock },
          clickhouse: { queryStream: async () => Readable.from([]), rows: async () => [] },
          windows: undefined,
          archive
        },
        { projectId: project, ...change }
      )
  }
}

test('is not green over nothing: a group that has no position in a log with records is named', async () => {
  const { pass, compare } = await open(2)
  const nobody = await compare({ loadGroup: 'eu-load', processGroup: 'eu-process' })
  expect([nobody.isGreen, nobody.records, nobody.unplaced]).toEqual([false, 0, ['eu-load', 'eu-process']])
  await pass('eu-load')
  // They wait for processors: none is without a letter.
  const half = await compare({ loadGroup: 'eu-load', processGroup: 'eu-process' })
  expect([half.isGreen, half.records, half.unlettered.count, half.unplaced]).toEqual([false, 2, 0, ['eu-process']])
  await pass('eu-process')
  const both = await compare({ loadGroup: 'eu-load', processGroup: 'eu-process' })
  expect([both.unlettered.count, both.unplaced]).toEqual([2, []])
})

test('is green over a log without records, which no group has come to', async () => {
  const { compare } = await open(0)
  const { isGreen, unplaced } = await compare()
  expect([isGreen, unplaced]).toEqual([true, []])
})

/** An archive of one file with so many records that are no events, appended at `appendedAtMs`. */
function archiveOf(records: number, appendedAtMs: number): ArchiveReading {
  const chunks: Buffer[] = []
  const writer = createArchiveFileWriter((bytes) => void chunks.push(Buffer.from(bytes)))
  const made = Array.from({ length: records }, (_, index) => ({ ...at, offset: BigInt(index), appendedAtMs }))
  const value = Buffer.from('no event')
  writer.group(made.map((record) => ({ ...record, key: null, value, headers: '{}', event: undefined })))
  writer.finish()
  const bytes = Buffer.concat(chunks)
  const log = { ...at, epoch: 1 }
  const file = {
    ...log,
    first: 0n,
    last: BigInt(records - 1),
    rows: records,
    holes: 0,
    firstAppendedAtMs: appendedAtMs,
    lastAppendedAtMs: appendedAtMs,
    rawBytes: 1,
    fileBytes: bytes.byteLength,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    contentCrc: 0,
    key: 'file'
  }
  const holes: readonly ArchiveHole[] = []
  return {
    manifest: {
      heads: async () => [{ ...log, position: BigInt(records), appendedAtMs }],
      files: async () => [file],
      holes: async () => holes
    },
    objects: { get: async () => bytes }
  }
}

test('a record whose letter retention may have taken is forgotten, not dead', async () => {
  const { cluster, clock, pass, compare } = await open(2)
  await Promise.all(['load', 'process'].map(pass))
  const appendedAtMs = clock.now()
  const letters = { topic: dlqTopic(project), partition: 0 }
  cluster.append(letters, 'of the first record')
  await clock.advance(60_000)
  cluster.append(letters, 'of another one')
  cluster.trim(at, 2n)
  cluster.trim(letters, 1n)
  const found = await compare({ fromMs: appendedAtMs }, archiveOf(2, appendedAtMs))
  expect([found.archived, found.dead, found.forgotten, found.unlettered.count]).toEqual([2, 0, 2, 0])
  expect(found.isGreen).toBe(true)
})
