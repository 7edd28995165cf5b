import { describe, expect, it } from 'vitest'
import { compareFacts, expectedFacts, makeEvent, toRecord } from './world.ts'

const events = Array.from({ length: 200 }, (_, n) => makeEvent(n))
const problems = (change: object): string[] =>
  compareFacts(expectedFacts(events), { ...expectedFacts(events), ...change }).map(({ problem }) => problem)

describe('facts about the warehouse', () => {
  it('are the same for the same events in any order, with copies', () => {
    const { events: ids } = expectedFacts(events)
    expect(ids.size).toBe(200)
    expect(compareFacts(expectedFacts(events), expectedFacts(events.toReversed()))).toEqual([])
  })

  it('miss nothing, show nothing twice and nothing strange', () => {
    const { events: ids, links } = expectedFacts(events)
    expect(problems({ events: new Map([...ids].slice(1)) })).toEqual(['in the log, not in the view'])
    expect(problems({ events: new Map([...ids, ['e-7', 2]]) })).toEqual(['visible more than once'])
    expect(problems({ events: new Map([...ids, ['x', 1]]) })).toEqual(['in the view, not in the log'])
    expect(problems({ links: links.slice(1) })).toEqual(['links: missing'])
    expect(problems({ firstSeen: [...expectedFacts(events).firstSeen, 'user x 1'] })).toEqual([
      'firstSeen: not of this log'
    ])
  })

  it('are of events that span months, and of some that are links', () => {
    expect(new Set(events.map(({ timestampMs }) => new Date(timestampMs).getUTCMonth())).size).toBe(2)
    expect(expectedFacts(events).links.length).toBeGreaterThan(50)
    expect(JSON.parse(String(toRecord(makeEvent(5), 4).value))).toMatchObject({ eventId: 'e-5', userId: 'u-5' })
  })
})
