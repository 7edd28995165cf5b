import { expect, it } from 'vitest'
import type { MetricMessage, SessionMessage } from '@millrace/contracts'
import { compareFinals } from './finals.ts'
import type { Told } from './finals.ts'

const window: MetricMessage = {
  project: 'p',
  metric: 'events',
  kind: 'count',
  granularity: '1m',
  timestamp: 60_000,
  value: 3,
  count: 3,
  capped: false,
  revision: [1, 7],
  final: true
}
const session: SessionMessage = {
  project: 'p',
  sessionId: 's',
  startedAt: 1,
  firstEventAt: 1,
  lastEventAt: 2,
  totalEvents: 2,
  pageViews: 1,
  hasConversion: false,
  isNew: true,
  userId: 'u',
  trafficSource: 'direct',
  deviceType: '',
  country: '',
  entryPage: '/',
  exitPage: '/',
  revision: [1, 5],
  final: true
}
const before: Told = { metrics: [{ ...window, final: false, count: 1 }, window], sessions: [session] }
const problems = (after: Told) =>
  compareFinals(before, after).violations.map(({ problem, examples }) => [problem, examples])

it('takes the same values under a newer epoch for the same, and the hint of a visitor for no value', () => {
  const told = { ...session, revision: [2, 5] as const, isNew: false }
  const after = { metrics: [...before.metrics, { ...window, revision: [2, 7] as const }], sessions: [session, told] }
  expect(compareFinals(before, after)).toEqual({ violations: [], windows: 1, sessions: 1, toldAnew: 2 })
  expect(compareFinals(before, before)).toMatchObject({ violations: [], toldAnew: 0 })
})

it('tells every field that is another one, of the newest revision alone', () => {
  const wrong: Told = {
    metrics: [{ ...window, revision: [2, 9], count: 4, value: 4 }, window],
    sessions: [{ ...session, revision: [2, 5], exitPage: '/end', pageViews: 2 }]
  }
  expect(problems(wrong)).toEqual([
    [
      'was final and is told otherwise',
      [
        'events:1m:60000 : value 4, not 3',
        'events:1m:60000 : count 4, not 3',
        'session s of 1: pageViews 2, not 1',
        'session s of 1: exitPage /end, not /'
      ]
    ]
  ])
})

it('misses what is final no more, and what is not told at all', () => {
  expect(problems({ metrics: [{ ...window, revision: [2, 6], final: false }], sessions: [] })).toEqual([
    ['was final and is not told any more', ['session s of 1']],
    ['was final and is told otherwise', ['events:1m:60000 : final false, not true']]
  ])
})
