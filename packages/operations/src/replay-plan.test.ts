// Which groups a replay takes, on a cluster in memory.
import { expect, it } from 'vitest'
import { rawTopic } from '@millrace/contracts'
import { createMemoryCluster } from '@millrace/kafka'
import type { ArchiveHead } from '@millrace/stores/archive-manifest'
import { createManualClock } from '@millrace/kernel'
import { planReplay } from './replay-plan.ts'
import type { ReplayRequest } from './replay-plan.ts'

const topic = rawTopic('shop')

async function open() {
  const cluster = createMemoryCluster({ clock: createManualClock() })
  await cluster.admin.createTopics([{ topic, partitions: 1, replicationFactor: 1, config: {} }])
  for (let index = 0; index < 5; index++) cluster.append({ topic, partition: 0 }, 'x')
  for (const group of ['load', 'eu-load', 'aggregate'])
    await cluster.admin.setGroupOffsets(group, topic, new Map([[0, 4n]]))
  const heads: ArchiveHead[] = []
  const plan = async (change: Partial<ReplayRequest>) => {
    const request = { projectId: 'shop', kind: 'load', group: 'load', mode: 'beside', from: all, to: all } as const
    const deps = { admin: cluster.admin, log: undefined, manifest: { heads: async () => heads } }
    return await planReplay(deps, { ...request, limit: 100n, ...change })
  }
  return { cluster, heads, plan }
}

const all = { kind: 'all' } as const

it('takes the group of the kind, and another one that has positions', async () => {
  const { plan } = await open()
  const plans = [
    await plan({}),
    await plan({ group: 'eu-load' }),
    await plan({ kind: 'aggregate', group: 'aggregate' })
  ]
  expect(plans.map(({ records, refusals }) => [records, refusals])).toEqual(plans.map(() => [4n, []]))
})

it('refuses a group of another kind, and one that never read this log, beside and in place', async () => {
  const { plan } = await open()
  expect((await plan({ group: 'aggregate' })).refusals).toEqual(['aggregate is the group of aggregate, not of load'])
  const never = ['group laod has no position in this log: is it the one of the load workers?']
  expect((await plan({ group: 'laod' })).refusals).toEqual(never)
  expect((await plan({ group: 'laod', mode: 'in-place' })).refusals).toContain(never[0])
})

it('knows no topic of a project that is none, and no partition that is not there', async () => {
  const { plan } = await open()
  for (const projectId of ['blog', 'dlq.shop', 'processed.shop'])
    await expect(plan({ projectId })).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
  const offsets = new Map([[3, 0n]])
  await expect(plan({ from: { kind: 'offsets', offsets } })).rejects.toThrow('events.shop has no partition 3')
})

it('refuses what the log has forgotten, and names the archive only where it has all of it', async () => {
  const { cluster, heads, plan } = await open()
  cluster.trim({ topic, partition: 0 }, 2n)
  const from = { kind: 'offset', offset: 0n } as const
  const gone = 'the log does not reach back that far (partition 0 begins at 2)'
  expect((await plan({ from })).refusals[0]).toContain(`${gone}; the archive does not have all of it either`)
  heads.push({ topic, partition: 0, epoch: 1, position: 2n, appendedAtMs: 0 })
  expect((await plan({ from })).refusals[0]).toContain('`millrace replay start --from-archive --project shop`')
  const record = await plan({ kind: 'record', group: 'eu-load', from })
  expect(record.refusals[0]).toContain('`millrace archive cat --project shop`')
  const there = await plan({})
  expect([there.refusals, there.parts]).toMatchObject([[], [{ from: 2n, to: 4n }]])
})

it('refuses edges that a new epoch of the live state cannot have', async () => {
  const { plan } = await open()
  const offset = { kind: 'offset', offset: 1n } as const
  const refusals = async (change: Partial<ReplayRequest>) =>
    (await plan({ kind: 'aggregate', group: 'aggregate', ...change })).refusals
  // How many records it reads is not known yet.
  expect(await refusals({ from: { kind: 'time', ms: 0 }, limit: 3n })).toEqual([])
  expect(await refusals({ from: offset, to: offset })).toEqual([
    'a new epoch of the live state begins at a time, or with all that the log has',
    'a new epoch of the live state is filled to the end of the log; it takes no other end'
  ])
})
