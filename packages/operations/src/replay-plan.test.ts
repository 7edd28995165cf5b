// Which groups a replay takes, on a cluster in memory.
import { expect, it } from 'vitest'
import { rawTopic } from '@millrace/contracts'
import { createMemoryCluster } from '@millrace/kafka'
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
  const all = { kind: 'all' } as const
  return async (change: Partial<ReplayRequest>) => {
    const request = { projectId: 'shop', kind: 'load', group: 'load', mode: 'beside', from: all, to: all } as const
    const deps = { admin: cluster.admin, log: undefined, manifest: { heads: async () => [] } }
    return await planReplay(deps, { ...request, limit: 100n, ...change })
  }
}

it('takes the group of the kind, and another one that has positions', async () => {
  const plan = await open()
  const plans = [
    await plan({}),
    await plan({ group: 'eu-load' }),
    await plan({ kind: 'aggregate', group: 'aggregate' })
  ]
  expect(plans.map(({ records, refusals }) => [records, refusals])).toEqual(plans.map(() => [4n, []]))
})

it('refuses a group of another kind, and one that never read this log, beside and in place', async () => {
  const plan = await open()
  expect((await plan({ group: 'aggregate' })).refusals).toEqual(['aggregate is the group of aggregate, not of load'])
  const never = ['group laod has no position in this log: is it the one of the load workers?']
  expect((await plan({ group: 'laod' })).refusals).toEqual(never)
  expect((await plan({ group: 'laod', mode: 'in-place' })).refusals).toContain(never[0])
})
