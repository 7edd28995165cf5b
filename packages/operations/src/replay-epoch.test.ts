// A replay of the live state, over stores in memory: the log has 40 records, and building would read the last 10 of them.
import { expect, it } from 'vitest'
import { liveTiming } from '@millrace/aggregation/timing'
import { createManualClock } from '@millrace/kernel'
import type { EpochAdmin } from './rebuild.ts'
import { beginEpochReplay, planEpochReplay } from './replay-epoch.ts'
import type { GroupPlan, ReplayRequest } from './replay-plan.ts'

const hourMs = 3_600_000

const plan: GroupPlan = {
  projectId: 'shop',
  kind: 'aggregate',
  group: 'aggregate',
  topic: 'events.shop',
  mode: 'beside',
  effect: 'epoch',
  consequence: '',
  source: '',
  parts: [{ partition: 0, from: 0n, to: 40n, fromMs: undefined, toMs: undefined }],
  records: 40n,
  refusals: []
}

function open() {
  const audit: unknown[][] = []
  const query = async (text: string, values: unknown[]) => {
    if (text.includes('audit_log')) audit.push(values)
    return text.includes('INSERT INTO state_epochs') ? [row] : []
  }
  const admin = {
    postgres: { query, transaction: async (fn: (tx: object) => Promise<unknown>) => await fn({ query }) },
    epochs: {
      look: async () => ({
        pointer: 1,
        epochs: new Map([[1, { partitions: [{ position: 40n }] }]]),
        memory: { usedBytes: 1, maxBytes: 0 }
      }),
      beginRebuild: async () => ({ kind: 'ok' })
    },
    admin: {
      ranges: async () => [{ topic: plan.topic, partition: 0, start: 0n, end: 40n }],
      offsetsAt: async () => new Map([[0, 30n]])
    },
    clock: createManualClock(100 * hourMs),
    timing: liveTiming,
    actor: 'test'
  } as unknown as EpochAdmin
  const planned = async (limit: bigint, from: ReplayRequest['from'] = { kind: 'time', ms: 99 * hourMs }) =>
    await planEpochReplay(admin, plan, { from, limit })
  return { admin, audit, planned }
}

const row = {
  project_id: 'shop',
  epoch: 2,
  start_offsets: ['30'],
  complete_from: new Date(0),
  reason: 'rebuild',
  state: 'building',
  created_at: new Date(0),
  created_by: 'test',
  changed_at: new Date(0),
  age_ms: 1
}

it('is bounded by what building the epoch reads, not by what the log has', async () => {
  const { planned } = open()
  const { parts, records, refusals } = await planned(10n)
  expect([parts.map(({ from, to }) => [from, to]), records, refusals]).toEqual([[[30n, 40n]], 10n, []])
  expect((await planned(9n)).refusals).toEqual(['10 records are more than 9; --limit 10 if they are meant'])
})

it('tells the audit log why', async () => {
  const { admin, audit, planned } = open()
  await expect(beginEpochReplay(admin, await planned(9n), 'idle time changed')).rejects.toThrow('--limit 10')
  expect(audit).toEqual([])
  await beginEpochReplay(admin, await planned(10n), 'idle time changed')
  expect(audit.map(([actor, action, , , details]) => [actor, action, JSON.parse(String(details))])).toMatchObject([
    ['test', 'epoch.new', { reason: 'rebuild', why: 'idle time changed', startOffsets: ['30'] }]
  ])
})
