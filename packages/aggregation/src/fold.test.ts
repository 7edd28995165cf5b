// From events to deltas: what each metric counts, what is left out, and that any way to apply a log gives its recount.
import { describe, expect, it } from 'vitest'
import type { EventRow } from '@millrace/contracts'
import { createRandom } from '@millrace/testkit/random'
import { itemOf, rowOf } from '../test/rows.ts'
import { apply } from './apply.ts'
import { initEpoch } from './epochs.ts'
import { digestOf, foldBatch, noRefusals } from './fold.ts'
import type { FoldOptions, Refusals } from './fold.ts'
import { builtInMetrics } from './metrics.ts'
import type { MetricDefinition } from './metrics.ts'
import { emptyProject } from './state.ts'
import { liveTiming } from './timing.ts'

const startMs = Date.UTC(2026, 5, 1, 10)
const options: FoldOptions = {
  timing: liveTiming,
  metrics: builtInMetrics(['purchase']),
  conversionTypes: new Set(['purchase'])
}
const at = (offsetMs: number, eventId: string, change: Partial<EventRow> = {}): EventRow =>
  rowOf({ eventId, timestamp: startMs + offsetMs, ...change })

function fold(rows: readonly EventRow[], change: Partial<FoldOptions> = {}, refusals: Refusals = noRefusals) {
  const range = { epoch: 1, partition: 0, from: 0n, to: BigInt(rows.length), appendedAtMs: startMs, expired: 0 }
  return foldBatch(
    rows.map((row) => itemOf(row)),
    range,
    { ...options, ...change },
    refusals
  )
}

const valuesOf = (rows: readonly EventRow[], name: string, change: Partial<FoldOptions> = {}) =>
  fold(rows, change).call.windows.find((window) => window.name === name)?.values

describe('foldBatch', () => {
  it('counts events by type in minutes and hours', () => {
    const rows = [at(0, 'a'), at(1, 'b', { eventType: 'click' }), at(60_000, 'c')]
    expect(valuesOf(rows, `events:1m:${startMs}`)).toEqual([
      { dimension: '', count: 2, sum: 0n },
      { dimension: '["page_view"]', count: 1, sum: 0n },
      { dimension: '["click"]', count: 1, sum: 0n }
    ])
    expect(valuesOf(rows, `events:1h:${startMs}`)?.[0]).toEqual({ dimension: '', count: 3, sum: 0n })
  })

  it('puts an hour together from its minutes, and a window of one minute shares its values with the hour', () => {
    const own: readonly MetricDefinition[] = (['sum', 'min', 'max'] as const).map((kind) => ({
      ...(builtInMetrics([])[0] as MetricDefinition),
      name: `own_${kind}`,
      measure: { kind, property: 'price' },
      dimensions: [{ from: 'column', name: 'path' }]
    }))
    const users = builtInMetrics([]).filter(({ name }) => name === 'active_users')
    const priced = (offsetMs: number, id: string, path: string, price: number) =>
      at(offsetMs, id, { path, userId: path, properties: JSON.stringify({ price }) })
    const rows = [priced(0, 'a', '/x', 3), priced(60_000, 'b', '/x', -1), priced(60_001, 'c', '/y', 2)]
    const metrics = [...own, ...users]
    const hour = (name: string) => valuesOf(rows, `${name}:1h:${startMs}`, { metrics })
    expect(hour('own_sum')).toEqual([
      { dimension: '', count: 3, sum: 4_000_000n },
      { dimension: '["/x"]', count: 2, sum: 2_000_000n },
      { dimension: '["/y"]', count: 1, sum: 2_000_000n }
    ])
    expect(hour('own_min')?.map(({ min }) => min)).toEqual([-1_000_000, -1_000_000, 2_000_000])
    expect(hour('own_max')?.map(({ max }) => max)).toEqual([3_000_000, 3_000_000, 2_000_000])
    expect(hour('active_users')?.map(({ members }) => members)).toEqual([['u/x', 'u/y']])
    const [minute, whole] = fold(rows.slice(0, 1), { metrics }).call.windows
    expect(whole?.values).toBe(minute?.values)
  })

  it('decides between events of one time by the bytes of their ids as JSON', () => {
    const ids = ['b', 'a', 'a"', 'a!', 'ab', 'a\\', 'é', '😀', '\uffee', 'a\n']
    const inJson = ids.toSorted((a, b) =>
      Buffer.compare(Buffer.from(JSON.stringify([a])), Buffer.from(JSON.stringify([b])))
    )
    for (const first of ids) {
      for (const second of ids.filter((id) => id !== first)) {
        const rows = [first, second].map((id) => at(0, id, { sessionId: 's', path: `/${id}` }))
        const [earlier = ''] = inJson.filter((id) => id === first || id === second)
        expect(fold(rows).call.sessions[0]?.entry.slice(15)).toBe(JSON.stringify([earlier, `/${earlier}`]))
      }
    }
  })

  it('counts users by user id, else by anonymous id, and not those without either', () => {
    const rows = [
      at(0, 'a', { userId: 'x' }),
      at(1, 'b', { anonymousId: 'x' }),
      at(2, 'c', { userId: 'x', anonymousId: 'y' }),
      at(3, 'd')
    ]
    const [total] = valuesOf(rows, `active_users:1m:${startMs}`) ?? []
    expect(total).toEqual({ dimension: '', count: 3, sum: 0n, members: ['ux', 'ax'] })
  })

  it('sums revenue in millionths, negative too, and tells of values that it cannot add', () => {
    const purchase = (id: string, revenue: unknown) =>
      at(0, id, { eventType: 'purchase', properties: JSON.stringify({ revenue }) })
    const rows = [
      purchase('a', 0.1),
      purchase('b', 0.2),
      purchase('c', -5),
      purchase('d', 'much'),
      purchase('e', 1e300)
    ]
    const { call, badValues } = fold([...rows, purchase('f', undefined)])
    expect(call.windows.find(({ name }) => name === `revenue:1h:${startMs}`)?.values).toEqual([
      { dimension: '', count: 3, sum: -4_700_000n }
    ])
    expect(badValues).toBe(2)
  })

  it('leaves out late records by their own lateness, and counts them', () => {
    const late = at(0, 'a', { appendedAt: startMs + liveTiming.latenessMs + 1, latenessMs: liveTiming.latenessMs + 1 })
    const onTime = at(0, 'b', { appendedAt: startMs + liveTiming.latenessMs, latenessMs: liveTiming.latenessMs })
    const { call } = fold([late, onTime])
    expect(call.late).toBe(1)
    expect(call.hours).toEqual([{ hour: startMs / 3_600_000, ids: [digestOf('b')], elsewhere: [] }])
  })

  it('takes a copy inside the batch once, also when the first was refused', () => {
    expect(fold([at(0, 'a'), at(0, 'a')]).call.windows[0]?.events).toBe(1)
    const refused = fold([at(0, 'a'), at(0, 'a')], {}, { ids: new Set([digestOf('a')]), deletedThrough: -1 })
    expect(refused.call.windows).toEqual([])
    expect(refused.call.leftOut).toEqual([{ id: digestOf('a'), hours: [startMs / 3_600_000] }])
  })

  it('names the day of an event whose hour was deleted', () => {
    const refusals = { ids: new Set([digestOf('a')]), deletedThrough: startMs / 3_600_000 }
    const { call, recountDays } = fold([at(0, 'a')], {}, refusals)
    expect({ closed: call.closed, recountDays }).toEqual({ closed: 1, recountDays: [Date.UTC(2026, 5, 1)] })
  })

  it('looks into the neighbouring hours when another copy may have another time', () => {
    const range = { epoch: 1, partition: 0, from: 0n, to: 1n, appendedAtMs: startMs, expired: 0 }
    const { call } = foldBatch([itemOf(at(0, 'a'), true)], range, options)
    const hour = startMs / 3_600_000
    expect(call.hours).toEqual([
      { hour, ids: [digestOf('a')], elsewhere: [] },
      { hour: hour - 1, ids: [], elsewhere: [digestOf('a')] },
      { hour: hour + 1, ids: [], elsewhere: [digestOf('a')] }
    ])
  })

  it('gives each window to one version of a metric', () => {
    const [base] = builtInMetrics([]) as [MetricDefinition]
    const nextHourMs = startMs + 3_600_000
    const metrics = [base, { ...base, version: 2, effectiveFromMs: nextHourMs, dimensions: [] }]
    const rows = [at(0, 'a'), at(3_600_000, 'b')]
    expect(valuesOf(rows, `events:1h:${startMs}`, { metrics })?.length).toBe(2)
    expect(valuesOf(rows, `events:1h:${nextHourMs}`, { metrics })).toEqual([{ dimension: '', count: 1, sum: 0n }])
  })

  it('cuts and repairs the texts of dimensions, and takes plain properties alone', () => {
    const by = { from: 'property', name: 'plan' } as const
    const metrics: MetricDefinition[] = [{ ...(builtInMetrics([])[0] as MetricDefinition), dimensions: [by] }]
    const of = (plan: unknown) =>
      valuesOf([at(0, 'a', { properties: JSON.stringify({ plan }) })], `events:1h:${startMs}`, { metrics })?.[1]
        ?.dimension
    expect([of('pro'), of(7), of(true), of({ deep: 1 }), of(undefined)]).toEqual([
      '["pro"]',
      '["7"]',
      '["true"]',
      '[""]',
      '[""]'
    ])
    expect(of('\ud800')).toBe('["\ufffd"]')
    expect(of('x'.repeat(300))).toHaveLength(260)
  })
})

describe('folding and applying', () => {
  it('gives the recount of the log, however it is cut, interleaved and repeated', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = createRandom(`fold ${seed}`)
      const made: EventRow[] = []
      const logs: EventRow[][] = [[], [], []]
      for (let number = 0; number < 60; number++) {
        const old = made.length > 0 && random.chance(0.3) ? random.pick(made) : undefined
        const row =
          old ??
          at(random.below(500_000), `e${number}`, {
            eventType: random.pick(['page_view', 'click']),
            sessionId: `s${random.below(4)}`
          })
        made.push(row)
        logs[random.below(3)]?.push(row)
      }
      const epoch = applied(logs, random)
      const distinct = [...new Map(made.map((row) => [row.eventId, row])).values()]
      const hour = epoch?.windows.get(`events:1h:${startMs}`)?.values
      const clicks = distinct.filter(({ eventType }) => eventType === 'click').length
      expect([seed, hour?.get('')?.count, hour?.get('["click"]')?.count]).toEqual([seed, distinct.length, clicks])
      for (const [id, session] of epoch?.sessions ?? []) {
        expect([seed, id, session.events]).toEqual([
          seed,
          id,
          distinct.filter(({ sessionId }) => sessionId === id).length
        ])
      }
    }
  })

  function applied(logs: readonly (readonly EventRow[])[], random: ReturnType<typeof createRandom>) {
    let project = initEpoch(emptyProject, 1, { state: 'live', startOffsets: [], completeFromMs: 0 }).project
    const positions = [0, 0, 0]
    while (positions.some((position, index) => position < (logs[index]?.length ?? 0))) {
      const partition = random.below(3)
      const log = logs[partition] ?? []
      // Sometimes an old range again, as a consumer does that was asleep.
      const from = random.chance(0.2) ? random.below(log.length + 1) : (positions[partition] ?? 0)
      const to = Math.min(log.length, from + 1 + random.below(9))
      const range = { epoch: 1, partition, from: BigInt(from), to: BigInt(to), appendedAtMs: startMs, expired: 0 }
      let refusals = noRefusals
      for (let tries = 0; tries < 5; tries++) {
        const items = log.slice(from, to).map((row) => itemOf(row))
        const step = apply(project, foldBatch(items, range, options, refusals).call)
        project = step.project
        if (step.reply.kind === 'ok' && to > from) positions[partition] = to
        if (step.reply.kind !== 'duplicate') break
        refusals = { ids: new Set([...refusals.ids, ...step.reply.ids]), deletedThrough: step.reply.deletedThrough }
      }
    }
    return project.epochs.get(1)
  }
})
