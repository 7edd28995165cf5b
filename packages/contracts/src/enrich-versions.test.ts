// What a version of `enrich` may not change: the identity of a row. The records and identities in the fixture were
// written by version 1 and stay as they are; a version that breaks them would show an event twice after a replay.
import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ENRICH_VERSION, enrich } from './enrich.ts'
import { spliceRawEvent } from './raw-event.ts'

type Identity = readonly [value: string, appendedAtMs: number, eventId?: string, eventType?: string, day?: string]

const fixture = new URL('../test/fixtures/row-identities.jsonl', import.meta.url)
const known = readFileSync(fixture, 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Identity)

const rowOf = (value: string | Buffer, appendedAtMs: number) => {
  const raw = { topic: 'events.demo', partition: 0, offset: 0n, appendedAtMs, value: Buffer.from(value) }
  const result = enrich(raw)
  return result.ok ? result.row : undefined
}
const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

describe('enrich between versions', () => {
  it('never changes eventId, eventType or the day of a record', () => {
    expect(ENRICH_VERSION).toBeGreaterThan(1)
    expect(known.filter(([, , eventId]) => eventId !== undefined).length).toBeGreaterThan(50)
    for (const [value, appendedAtMs, ...identity] of known) {
      const row = rowOf(value, appendedAtMs)
      expect(row === undefined ? [] : [row.eventId, row.eventType, dayOf(row.timestamp)], value).toEqual(identity)
    }
  })

  it('gives all copies of an event one time when the gateway repeats the first receipt', () => {
    const start = Date.UTC(2026, 5, 1, 12)
    const instant = fc.integer({ min: -40, max: 40 }).map((tens) => new Date(start + tens * 10_000).toISOString())
    const sent = fc.record({ timestamp: instant, sentAt: instant }, { requiredKeys: [] })
    fc.assert(
      fc.property(sent, sent, instant, instant, (first, again, receivedAt, later) => {
        // A client writes `sentAt` anew at each attempt; everything else of the event stays.
        const body = (sentAt?: string) =>
          Buffer.from(
            JSON.stringify({ eventId: 'e', eventType: 'a', timestamp: first.timestamp, ...(sentAt && { sentAt }) })
          )
        const copy = spliceRawEvent(body(first.sentAt), { projectId: 'demo', receivedAt })
        const retry = spliceRawEvent(body(first.sentAt === undefined ? undefined : again.sentAt), {
          projectId: 'demo',
          receivedAt,
          sentAt: first.sentAt
        })
        const times = [copy, retry].map((raw, at) => rowOf(raw, Date.parse(at === 0 ? receivedAt : later))?.timestamp)
        expect(times[0]).toBe(times[1])
      })
    )
  })
})
