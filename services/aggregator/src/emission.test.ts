import { describe, expect, it } from 'vitest'
import type { SessionValue } from '@millrace/aggregation/redis-emit'
import { claim } from '@millrace/aggregation/sessions'
import type { WindowValue } from '@millrace/aggregation/window-value'
import { decodeMetric, decodeSession } from '@millrace/contracts'
import type { EmittedRecord } from '@millrace/contracts'
import type { ProduceOutcome } from '@millrace/kafka'
import { bindMetrics, createRegistry } from '@millrace/observability'
import { assigned, openHeld } from '../test/held.ts'
import { createChangedValues } from './changed-values.ts'
import { emitProject } from './emission.ts'
import type { EmissionDeps } from './emission.ts'
import { aggregatorMetrics } from './metrics.ts'

const acked: ProduceOutcome = { kind: 'acked', offset: 0n, appendedAtMs: 0 }
const lost: ProduceOutcome = { kind: 'unknown', message: 'no reply' }
const share = (count: number) => ({ count, sum: 0n, min: undefined, max: undefined, unique: undefined })
const windowOf = (metric: string, count: number, change: Partial<WindowValue> = {}): WindowValue => ({
  name: `${metric}:1h:0`,
  startMs: 0,
  events: count,
  closed: false,
  capped: false,
  revision: 2 * count,
  values: new Map([['', share(count)]]),
  ...change
})

/** A project with these windows and sessions waiting. */
async function open(windows: readonly WindowValue[], sessions: readonly SessionValue[] = []) {
  const world = openHeld([0n])
  await world.projects.startAt(assigned(0))
  const waiting = new Map(windows.map((window) => [window.name, window]))
  const waitingSessions = new Map(sessions.map((session) => [session.sessionId, session]))
  const produced: { topic: string; record: EmittedRecord }[] = []
  const order: string[] = []
  const outcomes: { of: (topic: string) => ProduceOutcome } = { of: () => acked }
  const confirm = (held: Map<string, { readonly revision: number }>): EmissionDeps['emit']['confirmWindows'] => {
    return async (_project, _epoch, emitted) => {
      for (const { name, revision } of emitted) {
        order.push(`confirm ${name} ${revision}`)
        if (held.get(name)?.revision === revision) held.delete(name)
      }
      return { kind: 'ok' }
    }
  }
  const pick = <V>(held: ReadonlyMap<string, V>, names: readonly string[]) =>
    ({ kind: 'values', values: names.flatMap((name) => held.get(name) ?? []) }) as const
  const list = (held: ReadonlyMap<string, unknown>): EmissionDeps['emit']['dirty'] => {
    return async (_project, _epoch, limit, offset = 0) => ({
      kind: 'names',
      names: [...held.keys()].slice(offset, offset + limit)
    })
  }
  const deps: EmissionDeps = {
    emit: {
      dirty: list(waiting),
      windows: async (_project, _epoch, names) => pick(waiting, names),
      confirmWindows: confirm(waiting),
      dirtySessions: list(waitingSessions),
      sessions: async (_project, _epoch, names) => pick(waitingSessions, names),
      confirmSessions: confirm(waitingSessions)
    },
    topics: {
      ensure: async () => undefined,
      produce: async (topic, records) => {
        order.push(`produce ${topic} ${records.length}`)
        produced.push(...records.map((record) => ({ topic, record })))
        return records.map(() => outcomes.of(topic))
      }
    },
    changed: createChangedValues(),
    kindOf: (_project, metric) => (metric === 'unheard' ? undefined : 'count'),
    faults: { at: () => undefined },
    metrics: bindMetrics(aggregatorMetrics, createRegistry()),
    onFinal: async (_live, final) => void order.push(`final ${final.map(({ name }) => name).join()}`)
  }
  return { waiting, waitingSessions, produced, order, outcomes, run: () => emitProject(deps, world.live()) }
}

describe('emission', () => {
  it('produces what waits to the topic of its metric, and confirms behind the ack', async () => {
    const { waiting, produced, order, run } = await open([windowOf('events', 3), windowOf('page_views', 1)])
    expect(await run()).toBe(true)
    expect(order).toEqual([
      'produce metrics.events 1',
      'produce metrics.page_views 1',
      'confirm events:1h:0 6',
      'confirm page_views:1h:0 2'
    ])
    expect(decodeMetric(produced[0]?.record.value ?? null)).toMatchObject({ value: 3, revision: [1, 6], final: false })
    expect(waiting.size).toBe(0)
    expect(await run()).toBe(false)
  })

  it('leaves waiting what was not acknowledged, and only that', async () => {
    const { waiting, outcomes, run } = await open([windowOf('events', 3), windowOf('page_views', 1)])
    outcomes.of = (topic) => (topic === 'metrics.events' ? lost : acked)
    await run()
    expect([...waiting.keys()]).toEqual(['events:1h:0'])
    outcomes.of = () => acked
    await run()
    expect(waiting.size).toBe(0)
  })

  it('leaves waiting what changed while it was produced', async () => {
    const { waiting, order, outcomes, run } = await open([windowOf('events', 3)])
    outcomes.of = () => {
      waiting.set('events:1h:0', windowOf('events', 4))
      return acked
    }
    await run()
    expect(waiting.size).toBe(1)
    outcomes.of = () => acked
    await run()
    expect(order.at(-1)).toBe('confirm events:1h:0 8')
  })

  it('confirms without a message when no value differs from the log', async () => {
    const { waiting, order, run } = await open([windowOf('events', 3)])
    await run()
    waiting.set('events:1h:0', windowOf('events', 3, { revision: 8 }))
    await run()
    expect(order.slice(2)).toEqual(['confirm events:1h:0 8'])
  })

  it('tells of final windows before they are confirmed', async () => {
    const { order, run } = await open([windowOf('events', 3, { closed: true, revision: 7 })])
    await run()
    expect(order).toEqual(['produce metrics.events 1', 'final events:1h:0', 'confirm events:1h:0 7'])
  })

  it('lets windows wait whose metric it does not know yet', async () => {
    const { waiting, produced, run } = await open([windowOf('unheard', 3), windowOf('events', 1)])
    await run()
    expect([...waiting.keys()]).toEqual(['unheard:1h:0'])
    expect(produced).toHaveLength(1)
  })

  it('takes all pages of what waits, and passes over what stays', async () => {
    const many = Array.from({ length: 450 }, (_, index) =>
      windowOf(index < 300 ? 'unheard' : 'events', 1, { name: `${index < 300 ? 'unheard' : 'events'}:1h:${index}` })
    )
    const { waiting, produced, run } = await open(many)
    await run()
    expect([produced.length, waiting.size]).toEqual([150, 300])
  })
})

describe('a closed session', () => {
  it('is told of with its facts under the revision that was read', async () => {
    const session: SessionValue = {
      sessionId: 's',
      revision: 7,
      firstMs: 900,
      lastMs: 2_000,
      events: 3,
      pageViews: 2,
      converted: true,
      closed: true,
      contributed: { startMs: 1_000, events: 2, lengthMs: 1, bounced: false },
      first: claim(900, 'e', 'search', 'desktop', 'CH'),
      entry: claim(900, 'e', '/'),
      exit: claim(2_000, 'f', '/cart'),
      user: '',
      isNew: undefined
    }
    const { waitingSessions, produced, order, run } = await open([], [session])
    await run()
    expect(order).toEqual(['produce sessions.p 1', 'confirm s 7'])
    expect(decodeSession(produced[0]?.record.value ?? null)).toEqual({
      project: 'p',
      sessionId: 's',
      startedAt: 1_000,
      firstEventAt: 900,
      lastEventAt: 2_000,
      totalEvents: 3,
      pageViews: 2,
      hasConversion: true,
      isNew: null,
      userId: '',
      trafficSource: 'search',
      deviceType: 'desktop',
      country: 'CH',
      entryPage: '/',
      exitPage: '/cart',
      revision: [1, 7],
      final: true
    })
    expect(waitingSessions.size).toBe(0)
  })
})
