import { describe, expect, it } from 'vitest'
import { badMakers, createEventFactory } from './event-factory.ts'

const now = (): number => Date.UTC(2026, 5, 1)

describe('createEventFactory', () => {
  it('repeats its events for a seed and never an id', () => {
    const first = createEventFactory(1, { now })
    const second = createEventFactory(1, { now })
    const events = Array.from({ length: 500 }, () => first.event())
    expect(Array.from({ length: 500 }, () => second.event())).toEqual(events)
    expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(500)
  })

  it('keeps ids of two runs of a seed apart', () => {
    const ids = ['a', 'b'].map((run) => createEventFactory(1, { run, now }).event().eventId)
    expect(ids).toEqual(['a-0000000', 'b-0000000'])
  })

  it('makes each kind of bad body in turn, with an id of its own', () => {
    const factory = createEventFactory(2, { now })
    const bad = Array.from({ length: badMakers.length }, () => factory.bad())
    expect(new Set(bad.map(({ name }) => name)).size).toBe(badMakers.length)
    expect(new Set(bad.map(({ eventId }) => eventId)).size).toBe(badMakers.length)
    for (const { body, eventId } of bad) expect(Buffer.from(body).toString('latin1')).toContain(eventId)
  })

  it('makes bytes that are what their name says', () => {
    const bodies = new Map(
      badMakers.map((make) => make(createEventFactory(3, { now }).event())).map((b) => [b.name, b])
    )
    const strict = new TextDecoder('utf-8', { fatal: true })
    expect(() => strict.decode(Buffer.from(bodies.get('bytes that are not UTF-8')?.body ?? ''))).toThrow(TypeError)
    expect(() => JSON.parse(String(bodies.get('broken JSON')?.body))).toThrow(SyntaxError)
    expect(Buffer.byteLength(bodies.get('257 KiB')?.body ?? '')).toBeGreaterThan(256 * 1024)
    expect(bodies.get('__proto__')?.body).toContain('{"__proto__":{"admin":true}}')
    for (const name of ['10,000 levels', 'a number beyond 2^53', '__proto__']) {
      expect(() => JSON.parse(String(bodies.get(name)?.body)) as unknown).not.toThrow()
    }
  })
})
