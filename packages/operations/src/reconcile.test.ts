import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { dlqTopic, rawTopic } from '@millrace/contracts'
import { createMemoryCluster } from '@millrace/kafka'
import { createManualClock, systemClock } from '@millrace/kernel'
import { reconcile } from './reconcile.ts'
import type { ReconcileRequest } from './reconcile.ts'

const project = 'shop'
const at = { topic: rawTopic(project), partition: 0 }

/** A project with so many records that are no events, and an empty warehouse. */
async function open(records: number) {
  const cluster = createMemoryCluster({ clock: createManualClock() })
  const plain = { partitions: 1, replicationFactor: 1, config: {} }
  await cluster.admin.createTopics([at.topic, dlqTopic(project)].map((topic) => ({ topic, ...plain })))
  for (let each = 0; each < records; each++) cluster.append(at, 'no event')
  return {
    cluster,
    /** The group has done everything. */
    pass: (group: string) => cluster.admin.setGroupOffsets(group, at.topic, new Map([[0, BigInt(records)]])),
    compare: (change: Partial<ReconcileRequest> = {}) =>
      reconcile(
        {
          admin: cluster.admin,
          log: { client: cluster.client(), clock: systemClock },
          clickhouse: { queryStream: async () => Readable.from([]), rows: async () => [] },
          windows: undefined
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
