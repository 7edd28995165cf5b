// Every promise of the comparison broken once: each must be seen.
import { describe, expect, it } from 'vitest'
import type { MetricMessage, SessionMessage } from '@millrace/contracts'
import { compareStream } from './compare.ts'
import type { StreamEvidence } from './compare.ts'
import { makeEvent } from './make-events.ts'
import { recount } from './recount.ts'

const hour = 1_699_999_200_000
const [project, epoch] = ['p', 2]
const event = { eventId: 'a', eventType: 'purchase', atMs: hour, sessionId: 's', properties: { revenue: 2.5 } }
const log = [{ partition: 0, offset: 0n, value: makeEvent(event).value, appendedAtMs: hour + 1 }]
const counted = recount(log, { latenessMs: 1_000 })

/** What a sound live state tells of the one event. */
function told(): MetricMessage[] {
  const common = { project, count: 1, capped: false, revision: [epoch, 3] as const, final: true }
  const values = [...counted.windows.values()].flatMap(({ metric, granularity, startMs, values: shares }) =>
    [...shares].map(([dimension, { sum, members }]): MetricMessage => {
      const [kind, value] =
        metric === 'revenue'
          ? (['sum', Number(sum) / 1e6] as const)
          : members.size > 0
            ? (['unique', 1] as const)
            : (['count', 1] as const)
      const key = { metric, kind, granularity, timestamp: startMs, value }
      return { ...common, ...key, ...(dimension === '' ? {} : { dimension }) }
    })
  )
  const ratio = {
    ...common,
    kind: 'ratio',
    granularity: '1h',
    timestamp: hour,
    value: 0,
    numerator: 0,
    denominator: 1
  } as const
  return [...values, { ...ratio, metric: 'bounce_rate' }, { ...ratio, metric: 'session_duration' }]
}

const session: SessionMessage = {
  project,
  sessionId: 's',
  startedAt: hour,
  firstEventAt: hour,
  lastEventAt: hour,
  totalEvents: 1,
  pageViews: 0,
  hasConversion: true,
  isNew: null,
  userId: '',
  trafficSource: 'direct',
  deviceType: '',
  country: '',
  entryPage: '',
  exitPage: '',
  revision: [epoch, 3],
  final: true
}

function problemsOf(change: Partial<StreamEvidence> = {}): readonly string[] {
  const sound: StreamEvidence = {
    projectId: project,
    recount: counted,
    metrics: told(),
    sessions: [session],
    live: new Map(),
    epoch,
    completeFromMs: 0,
    clockMs: hour + 2 * 3_600_000,
    settleMs: 1_000,
    sessionIdleMs: 1_000
  }
  return compareStream({ ...sound, ...change }).violations.map(({ problem }) => problem)
}

/** The sound messages, those of `metric` changed; undefined: left out. */
function toldWith(metric: string, change: Partial<MetricMessage> | undefined): MetricMessage[] {
  return told().flatMap((message) => {
    if (message.metric !== metric) return [message]
    return change === undefined ? [] : [{ ...message, ...change }]
  })
}

describe('compareStream', () => {
  it('finds nothing wrong with a sound state', () => {
    expect(problemsOf()).toEqual([])
    expect(problemsOf({ sessions: [session, { ...session, isNew: true }] })).toEqual([])
  })

  it.each<[string, Partial<StreamEvidence>]>([
    ['a closed window was never told', { metrics: toldWith('conversions', undefined) }],
    ['a window that is due is not final', { metrics: toldWith('conversions', { final: false }) }],
    ['a closed window has a wrong value', { metrics: toldWith('conversions', { count: 2 }) }],
    ['a closed window has a wrong value', { metrics: toldWith('revenue', { value: 2.500_001 }) }],
    ['a closed window has a wrong value', { metrics: toldWith('sessions', { value: 6 }) }],
    ['a final revision that is not of its events', { metrics: toldWith('conversions', { revision: [2, 5] }) }],
    [
      'told, but no on-time event of the log is in it',
      { metrics: [...told(), ...toldWith('events', { timestamp: 0 })] }
    ],
    ['a dimension that no event has', { metrics: [...told(), ...toldWith('events', { dimension: '["x"]' })] }],
    [
      'two different values of one highest revision',
      { metrics: [...told(), ...toldWith('conversions', { value: 9 })] }
    ],
    ['a wrong metric of sessions', { metrics: toldWith('bounce_rate', { numerator: 1 }) }],
    ['a metric of sessions was never told', { metrics: toldWith('session_duration', undefined) }],
    ['a session that is over was never told', { sessions: [] }],
    ['a session that is told as several', { sessions: [session, { ...session, startedAt: hour + 1 }] }],
    ['a session with a wrong exitPage', { sessions: [{ ...session, exitPage: '/x' }] }],
    ['a session that no event has', { sessions: [session, { ...session, sessionId: 'other' }] }],
    ['a held window counts wrong', { live: new Map([[`events:1m:${hour}`, held(2)]]) }],
    ['a held window has a wrong value', { live: new Map([[`events:1m:${hour}`, held(1)]]) }],
    ['a held window has a dimension that no event has', { live: new Map([[`events:1m:${hour}`, held(1, '["x"]')]]) }],
    ['an open window is not held', { live: new Map(), clockMs: hour + 500 }]
  ])('says: %s', (problem, change) => {
    expect(problemsOf(change)).toContain(problem)
  })

  it('takes the highest revision, and leaves what is not due and what is the warehouse\u2019s', () => {
    const provisional = toldWith('conversions', { revision: [2, 2], final: false, count: 7 })
    expect(problemsOf({ metrics: [...told(), ...provisional] })).toEqual([])
    const live = soundlyHeld()
    expect(problemsOf({ metrics: [], sessions: [], live, clockMs: hour + 500 })).toEqual([])
    expect(problemsOf({ metrics: [], sessions: [], completeFromMs: hour + 3_600_000 })).toEqual([])
  })
})

function held(events: number, dimension = '') {
  const share = { count: 5, sum: 0n, unique: undefined }
  return { events, closed: true, capped: false, values: new Map([[dimension, share]]) }
}

/** Every window as the one event makes it. */
function soundlyHeld(): StreamEvidence['live'] {
  const windows = [...counted.windows].map(([name, { events, values }]) => {
    const shares = [...values].map(([dimension, { count, sum, members }]) => {
      const unique = members.size === 0 ? undefined : members.size
      return [dimension, { count, sum, unique }] as const
    })
    return [name, { events, closed: false, capped: false, values: new Map(shares) }] as const
  })
  return new Map(windows)
}
