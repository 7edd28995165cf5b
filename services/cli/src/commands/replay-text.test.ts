import { expect, it } from 'vitest'
import type { ReplayStatus } from '@millrace/operations/replay-orders'
import { renderGone, renderReplays } from './replay-text.ts'

const status = (liveBehind: bigint, state: ReplayStatus['state'] = 'running'): ReplayStatus => ({
  id: '12',
  projectId: 'shop',
  group: 'load',
  topic: 'events.shop',
  mode: 'beside',
  effect: 'reads',
  source: '',
  parts: [],
  records: 100n,
  perSecond: undefined,
  reason: '',
  actor: 'me',
  state,
  saved: {},
  holder: undefined,
  heldForMs: 0,
  problem: undefined,
  createdAt: new Date(0),
  changedAt: new Date(0),
  progress: { parts: [], records: 100n, remaining: 40n, liveBehind }
})

it('says that a replay waits for live reading while that is behind, and nothing else', () => {
  const text = renderReplays([status(1_500n)], false)
  expect(text.split('\n').at(-1)).toBe(
    '12: load itself is 1,500 records behind, which go first; if that stays, look at its workers (`/health`)'
  )
  for (const other of [status(0n), status(1_500n, 'done')])
    expect(renderReplays([other], false)).not.toContain('behind')
})

it('names parts that nobody has by their first and last offset', () => {
  const gone = { topic: 'events.shop', partition: 0, from: 50n, to: 100n }
  expect(renderGone([gone])).toEqual(['gone              events.shop:0 50 to 99'])
})
