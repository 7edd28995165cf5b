// The demo traffic is checked with the real event check: what it calls good must be accepted, what it calls bad refused.
import { compileEventSchema, decodeEvent } from '@millrace/contracts'
import { describe, expect, it } from 'vitest'
import { readDemoSchemas } from './schemas.ts'
import { createShop } from './shop.ts'
import type { DemoRequest } from './shop.ts'

const startMs = Date.UTC(2026, 5, 1)

interface SeenEvent {
  readonly eventId: string
  readonly eventType: string
  readonly userId?: string
  readonly anonymousId: string
  readonly sessionId: string
  readonly properties: unknown
}

/** `count` requests, 50 ms apart. */
function requests(count: number, seed = 1): DemoRequest[] {
  const shop = createShop({ seed, startMs })
  return Array.from({ length: count }, (_, index) => shop.next(startMs + index * 50))
}

function events(all: readonly DemoRequest[]): SeenEvent[] {
  return all.filter(({ kind }) => kind === 'event').map(({ body }) => JSON.parse(body) as SeenEvent)
}

describe('createShop', () => {
  const many = requests(40_000)

  it('repeats itself for a seed, and only for that seed', () => {
    expect(requests(2_000, 7)).toEqual(requests(2_000, 7))
    expect(requests(50, 7)).not.toEqual(requests(50, 8))
  })

  it('sends events that the gateway accepts and bad ones that it refuses, each kind of them', () => {
    const codes = new Set<string>()
    for (const [index, { kind, body }] of requests(20_000).entries()) {
      const decision = decodeEvent(Buffer.from(body), startMs + index * 50)
      expect(decision.ok, body).toBe(kind !== 'bad')
      if (!decision.ok) codes.add(`${decision.code} ${decision.pointer}`)
    }
    expect([...codes].toSorted()).toHaveLength(5)
  })

  it('sends properties that fit the schema of their type, and every type has one', async () => {
    const schemas = new Map([...(await readDemoSchemas())].map(([type, schema]) => [type, compileEventSchema(schema)]))
    const types = new Set<string>()
    for (const { eventType, properties } of events(many)) {
      types.add(eventType)
      expect([eventType, schemas.get(eventType)?.check(properties)]).toEqual([eventType, undefined])
    }
    expect([...types].toSorted()).toEqual([...schemas.keys()])
    expect([...schemas].filter(([, schema]) => schema.check({ another: 1 }) === undefined)).toEqual([])
  })

  it('repeats about 1 % of the events byte for byte and breaks about 0.5 %', () => {
    const all = many
    const bodies = new Set(all.filter(({ kind }) => kind === 'event').map(({ body }) => body))
    const copies = all.filter(({ kind }) => kind === 'duplicate')
    expect(copies.every(({ body }) => bodies.has(body))).toBe(true)
    expect(copies.length / all.length).toBeCloseTo(0.01, 2)
    expect(all.filter(({ kind }) => kind === 'bad').length / all.length).toBeCloseTo(0.005, 3)
  })

  it('gives every event an id of its own', () => {
    const all = events(many)
    expect(new Set(all.map(({ eventId }) => eventId)).size).toBe(all.length)
  })

  it('is a funnel: many views, fewer carts, fewer checkouts, some purchases', () => {
    const all = events(many)
    const share = (type: string): number => all.filter(({ eventType }) => eventType === type).length / all.length
    const funnel = ['product_view', 'add_to_cart', 'checkout', 'purchase'].map(share)
    expect(funnel).toEqual(funnel.toSorted((a, b) => b - a))
    expect(share('product_view')).toBeGreaterThan(0.3)
    expect(share('purchase')).toBeGreaterThan(0.01)
    expect(share('purchase')).toBeLessThan(0.06)
  })

  it('has few visitors that come often and many that come seldom', () => {
    const perVisitor = new Map<string, number>()
    for (const { anonymousId } of events(many)) perVisitor.set(anonymousId, (perVisitor.get(anonymousId) ?? 0) + 1)
    const counts = [...perVisitor.values()].toSorted((a, b) => b - a)
    const total = counts.reduce((sum, count) => sum + count, 0)
    const top = counts.slice(0, 20).reduce((sum, count) => sum + count, 0)
    expect(top / total).toBeGreaterThan(0.25)
    expect(counts.length).toBeGreaterThan(1_000)
  })

  it('has an identify for each sign-in, and a refund for a few purchases', () => {
    const all = events(many)
    const count = (type: string): number => all.filter(({ eventType }) => eventType === type).length
    expect(count('sign_in')).toBeGreaterThan(100)
    expect(Math.abs(count('identify') - count('sign_in'))).toBeLessThan(0.05 * count('sign_in'))
    expect(all.every(({ eventType, userId }) => eventType !== 'identify' || userId !== undefined)).toBe(true)
    expect(count('refund') / count('purchase')).toBeGreaterThan(0.02)
    expect(count('refund') / count('purchase')).toBeLessThan(0.12)
  })

  it('has visits of geometric length', () => {
    const lengths = new Map<string, number>()
    for (const { sessionId } of events(many)) lengths.set(sessionId, (lengths.get(sessionId) ?? 0) + 1)
    const counts = [...lengths.values()]
    const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length
    expect(mean).toBeGreaterThan(5)
    expect(mean).toBeLessThan(9)
    // A geometric variable of mean 7 is 1 in about every seventh case and above 20 in about every twentieth.
    const shareOf = (test: (count: number) => boolean): number => counts.filter(test).length / counts.length
    expect(shareOf((count) => count === 1)).toBeGreaterThan(0.08)
    expect(shareOf((count) => count > 20)).toBeGreaterThan(0.02)
  })

  it('has visitors that are recognised in the middle of a visit, with one user each', () => {
    const users = new Map<string, Set<string>>()
    const anonymousBefore = new Set<string>()
    const recognised = new Set<string>()
    for (const { userId, anonymousId, sessionId } of events(many)) {
      if (userId === undefined) anonymousBefore.add(sessionId)
      else {
        if (anonymousBefore.has(sessionId)) recognised.add(sessionId)
        users.set(anonymousId, (users.get(anonymousId) ?? new Set()).add(userId))
      }
    }
    expect(recognised.size).toBeGreaterThan(100)
    expect([...users.values()].every(({ size }) => size === 1)).toBe(true)
  })
})
