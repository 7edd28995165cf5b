// The merge of sessions in any order and over any batches; and what closed sessions add to the session metrics.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EventRow } from '@millrace/contracts'
import { rowOf } from '../test/rows.ts'
import { createSessionFold } from './fold-sessions.ts'
import { claim, claimedValues, contributionDeltas, contributionOf, mergeFacts, mergeSession } from './sessions.ts'
import type { SessionFacts } from './sessions.ts'

const conversions = new Set(['purchase'])

/** Rows of one session; few times, so that many tie. */
const rows = fc
  .uniqueArray(
    fc.record({
      eventId: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }),
      timestamp: fc.integer({ min: 1_000, max: 1_003 }),
      eventType: fc.constantFrom('page_view', 'purchase', 'click'),
      path: fc.constantFrom('', '/a', '/b', '/漢😀'),
      userId: fc.constantFrom('', 'u1', 'u2'),
      trafficSource: fc.constantFrom('direct', 'search'),
      deviceType: fc.constantFrom('', 'mobile')
    }),
    { selector: ({ eventId }) => eventId, minLength: 1, maxLength: 12 }
  )
  .map((made) => made.map((change) => rowOf({ sessionId: 's', ...change })))

const factsOf = (some: readonly EventRow[]): SessionFacts => {
  const fold = createSessionFold(conversions)
  for (const row of some) fold.add(row)
  const [merge] = fold.merges()
  if (merge === undefined) return expect.fail('no session')
  const { sessionId: _id, visitors: _visitors, ...facts } = merge
  return facts
}

describe('mergeFacts', () => {
  it('gives the same session whatever the order of events and the cut into batches', () => {
    const cases = rows.chain((all) =>
      fc.record({
        all: fc.constant(all),
        shuffled: fc.shuffledSubarray([...all], { minLength: all.length, maxLength: all.length }),
        cuts: fc.array(fc.nat({ max: all.length }), { maxLength: 4 })
      })
    )
    fc.assert(
      fc.property(cases, ({ all, shuffled, cuts }) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), all.length]
        const batches = edges.slice(1).map((end, index) => shuffled.slice(edges[index], end))
        const facts = batches.filter(({ length }) => length > 0).map(factsOf)
        expect(facts.reduce((a, b) => mergeFacts(a, b))).toEqual(factsOf(all))
        expect(facts.reduceRight((a, b) => mergeFacts(a, b))).toEqual(factsOf(all))
      }),
      { numRuns: 500 }
    )
  })

  it('equals what a reader of the whole session sees', () => {
    fc.assert(
      fc.property(rows, (all) => {
        const facts = factsOf(all)
        const times = all.map(({ timestamp }) => timestamp)
        expect(facts.firstMs).toBe(Math.min(...times))
        expect(facts.lastMs).toBe(Math.max(...times))
        expect(facts.events).toBe(all.length)
        expect(facts.pageViews).toBe(all.filter(({ eventType }) => eventType === 'page_view').length)
        expect(facts.converted).toBe(all.some(({ eventType }) => eventType === 'purchase'))
        const withPath = all.filter(({ path }) => path !== '')
        const entries = withPath.filter(
          ({ timestamp }) => timestamp === Math.min(...withPath.map((row) => row.timestamp))
        )
        expect(claimedValues(facts.entry)).toEqual(
          entries.length === 0 ? [] : [expect.toBeOneOf(entries.map(({ path }) => path))]
        )
        const users = all.filter(({ userId }) => userId !== '')
        const last = users.filter(({ timestamp }) => timestamp === Math.max(...users.map((row) => row.timestamp)))
        expect(claimedValues(facts.user)).toEqual(
          last.length === 0 ? [] : [expect.toBeOneOf(last.map(({ userId }) => userId))]
        )
      }),
      { numRuns: 300 }
    )
  })
})

describe('claim', () => {
  it('gives back what it was made of', () => {
    expect(claimedValues(claim(1_764_000_000_000, 'id"\u0000', 'search', '', 'ü'))).toEqual(['search', '', 'ü'])
    expect(claimedValues('')).toEqual([])
  })
})

describe('contributionDeltas', () => {
  const hourMs = 3_600_000
  const view = factsOf([rowOf({ eventId: 'a', sessionId: 's', timestamp: hourMs + 5 })])
  const more = factsOf([rowOf({ eventId: 'b', sessionId: 's', timestamp: hourMs + 65 })])

  it('counts a session with one page view as a bounce in the hour that it began', () => {
    const once = contributionOf(mergeSession(undefined, view))
    expect(contributionDeltas(undefined, once).map(({ name, events, values }) => [name, events, values])).toEqual([
      [`bounce_rate:1h:${hourMs}`, 1, [{ dimension: '', count: 1, sum: 1n }]],
      [`session_duration:1h:${hourMs}`, 1, [{ dimension: '', count: 1, sum: 0n }]]
    ])
  })

  it('takes the bounce back and adds the length when the session went on', () => {
    const before = contributionOf(mergeSession(undefined, view))
    const now = contributionOf(mergeSession(mergeSession(undefined, view), more))
    expect(contributionDeltas(before, now).map(({ events, values }) => [events, values])).toEqual([
      [1, [{ dimension: '', count: 0, sum: -1n }]],
      [1, [{ dimension: '', count: 0, sum: 60n }]]
    ])
  })
})
