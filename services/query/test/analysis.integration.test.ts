// Funnels, retention, values and timelines on the real engine, held against a plain recomputation over random events, with
// another project beside that has the same users and devices.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPersons } from '@millrace/contracts'
import { createSilentLogger } from '@millrace/observability'
import { migrate } from '@millrace/operations/migrate'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { createRandom } from '@millrace/testkit/random'
import { uniqueProject } from '@millrace/testkit/unique'
import { readFunnel } from '../src/analysis/funnel.ts'
import { readRetention } from '../src/analysis/retention.ts'
import { readTop } from '../src/analysis/top.ts'
import { compareEvents, plainFunnel, plainRetention, plainTop } from './analysis-oracle.ts'
import type { PlainEvent } from './analysis-oracle.ts'
import { openQuery } from './open-query.ts'

const hourMs = 3_600_000
const startMs = Date.parse('2026-03-20T00:00:00Z')
const types = ['view', 'cart', 'buy'] as const
const merges = [{ fromUserId: 'u3', intoUserId: 'u4' }]
const persons = createPersons(merges)
/** Whose devices are known. */
const owners: Readonly<Record<string, string>> = { d0: 'u0', d1: 'u1', d2: 'u3' }
const [mine, other] = [uniqueProject('mine'), uniqueProject('other')]
const canary = 'canary'
const events = randomEvents('events', 420)
let query: Awaited<ReturnType<typeof openQuery>>

/** Two weeks of a few people, over a change of clocks; many events at the same moment. */
function randomEvents(seed: string, count: number): readonly PlainEvent[] {
  const random = createRandom(seed)
  return Array.from({ length: count }, (_, index) => {
    const userId = random.chance(0.6) ? `u${random.below(7)}` : ''
    const anonymousId = userId === '' && random.chance(0.9) ? `d${random.below(6)}` : ''
    const known = userId === '' ? owners[anonymousId] : userId
    const personId =
      known === undefined ? (anonymousId === '' ? '' : `anon:${anonymousId}`) : persons.personOf(known).personId
    const properties = {
      ...(random.chance(0.7) ? { plan: random.pick(['a', 'ab', 'b', '', '5']) } : {}),
      ...(random.chance(0.7) ? { n: random.pick([1, 2, 2.5, 5, -1]) } : {}),
      ...(random.chance(0.5) ? { flag: random.chance(0.5) } : {}),
      ...(random.chance(0.2) ? { mixed: random.pick<unknown>(['5', 5, true, null, [1], { a: 1 }]) } : {})
    }
    return {
      eventId: `e${index}`,
      eventType: random.pick(types),
      ms: startMs + random.below(14 * 24) * hourMs + random.pick([0, 0, 1, 60_000, 1_800_000]),
      partition: random.below(3),
      offset: index,
      userId,
      anonymousId,
      personId,
      country: random.pick(['DE', 'FR', 'IT', '']),
      properties
    }
  })
}

async function insert(projectId: string, list: readonly PlainEvent[]): Promise<void> {
  const columns = ['projectId', 'eventId', 'eventType', 'userId', 'anonymousId', 'timestamp', 'receivedAt']
  const more = ['country', 'properties', 'partition', 'offset', 'version']
  const lines = list.map(({ ms, properties, ...event }) => {
    const timestamp = new Date(ms).toISOString().replace('T', ' ').replace('Z', '')
    const row = { ...event, personId: undefined, projectId, timestamp, receivedAt: timestamp, version: '1' }
    return `${JSON.stringify({ ...row, properties: JSON.stringify(properties) })}\n`
  })
  await query.clickhouse.insertLines('events_raw', [...columns, ...more], Buffer.from(lines.join('')))
  const links = Object.entries(owners).map(
    ([device, user]) => `('${projectId}', '${device}', 'link-${device}', '${user}', '2026-03-25 00:00:00', 1)`
  )
  await query.clickhouse.command(
    `INSERT INTO identity_links (projectId, anonymousId, eventId, userId, timestamp, version) VALUES ${links.join(', ')}`
  )
  await query.clickhouse.command(
    `INSERT INTO person_edges VALUES ('${projectId}', 'u3', 'u4', 2, 1), ('${projectId}', 'u4', 'u4', 2, 1)`
  )
}

beforeAll(async () => {
  const { DATABASE_DIRECT_URL, CLICKHOUSE_URL } = testEndpoints()
  await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log: createSilentLogger() })
  query = await openQuery({}, merges)
  await insert(mine, events)
  const theirs = randomEvents('theirs', 200).map((event) => ({
    ...event,
    eventId: `${canary}-${event.eventId}`,
    country: canary,
    properties: { plan: canary }
  }))
  await insert(other, theirs)
  for (const name of ['devices', 'shared', 'persons'])
    await query.clickhouse.command(`SYSTEM RELOAD DICTIONARY identity_${name}`)
})
afterAll(() => query[Symbol.asyncDispose]())

async function ask<T>(url: string, payload?: object): Promise<T> {
  const request = payload === undefined ? { url } : { method: 'POST' as const, url, payload }
  const response = await query.app.inject({ ...request, headers: { 'x-api-key': `key-${mine}` } })
  expect([response.statusCode, response.body.slice(0, 500)]).toEqual([200, expect.any(String)])
  expect(response.body).not.toContain(canary)
  return response.json<T>()
}

const texts = ['DE', 'FR', 'a', 'ab', 'b', '5', canary]
const propertyArb = fc.constantFrom('country', 'properties.plan', 'properties.n', 'properties.flag', 'properties.mixed')
const memberArb = fc.constantFrom('properties.plan', 'properties.n', 'properties.mixed')
const filterArb = fc.oneof(
  fc.record({
    property: fc.constantFrom('country', 'properties.plan', 'properties.mixed'),
    operator: fc.constantFrom('is', 'isNot', 'contains', 'notContains', 'startsWith', 'endsWith'),
    values: fc.array(fc.constantFrom(...texts), { minLength: 1, maxLength: 3 })
  }),
  fc.record({
    property: memberArb,
    operator: fc.constantFrom('is', 'isNot'),
    values: fc.array(fc.constantFrom<unknown>('5', 5, 2, 2.5, true, false, 'a'), { minLength: 1, maxLength: 3 })
  }),
  fc.record({
    property: memberArb,
    operator: fc.constantFrom('gt', 'gte', 'lt', 'lte'),
    values: fc.tuple(fc.constantFrom(2, 2.5, 5))
  }),
  fc.record({ property: propertyArb, operator: fc.constantFrom('isSet', 'isNotSet') })
)
const filtersArb = fc.array(filterArb, { maxLength: 2 })
const timesArb = fc.tuple(fc.nat(13 * 24), fc.integer({ min: 1, max: 14 * 24 })).map(([from, hours]) => ({
  startTime: String(startMs + from * hourMs),
  endTime: String(startMs + (from + hours) * hourMs)
}))
const identityArb = fc.constantFrom('person', 'raw')
const url = (path: string, values: Readonly<Record<string, unknown>>): string => {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) if (value !== undefined) query.set(name, String(value))
  return `${path}?${query.toString()}`
}

interface Steps {
  readonly steps: readonly { readonly count: number; readonly conversion: number | null }[]
}
const countsOf = ({ steps }: Steps): readonly number[] => steps.map(({ count }) => count)

describe('a funnel', () => {
  const stepArb = fc.record({ eventType: fc.constantFrom(...types), filters: filtersArb })
  const plainStepArb = fc.record({ eventType: fc.constantFrom(...types) })
  const bodyArb = fc.record({
    times: timesArb,
    steps: fc.array(fc.oneof({ weight: 3, arbitrary: plainStepArb }, stepArb), { minLength: 2, maxLength: 4 }),
    conversionWindow: fc.constantFrom('30m', '3h', '24h', '3d', '14d'),
    order: fc.constantFrom('ordered', 'strict'),
    identity: identityArb,
    breakdown: fc.option(fc.record({ property: propertyArb, limit: fc.integer({ min: 1, max: 3 }) }), {
      nil: undefined
    })
  })

  it('counts what trying every chain of every person counts', async () => {
    await fc.assert(
      fc.asyncProperty(bodyArb, async ({ times, breakdown, ...rest }) => {
        const body = { ...times, ...rest, ...(breakdown === undefined ? {} : { breakdown }) }
        type Found = Steps & {
          readonly breakdown?: { values: (Steps & { value: string })[]; other: Steps; otherValues: number }
        }
        const found = await ask<Found>('/v1/funnels', body)
        const groups = plainFunnel(readFunnel(body, 0), events)
        const sum = (some: readonly (readonly number[])[]): number[] =>
          rest.steps.map((_, step) => some.reduce((total, counts) => total + (counts[step] ?? 0), 0))
        expect(countsOf(found)).toEqual(sum([...groups.values()]))
        if (found.breakdown === undefined) return
        const { values, other, otherValues } = found.breakdown
        const sorted = [...groups].toSorted(
          ([left, [lefts = 0]], [right, [rights = 0]]) => rights - lefts || (left < right ? -1 : 1)
        )
        const most = sorted.slice(0, breakdown?.limit)
        expect(values.map((each) => [each.value, countsOf(each)])).toEqual(most)
        expect([otherValues, countsOf(other)]).toEqual([
          sorted.length - most.length,
          sum(sorted.slice(most.length).map(([, counts]) => counts))
        ])
      }),
      { numRuns: 25 }
    )
  })

  it('tells shares, and null where nobody came', async () => {
    const steps = [{ eventType: 'view' }, { eventType: 'nothing' }, { eventType: 'buy' }]
    const times = { startTime: '2026-03-20', endTime: '2026-04-03' }
    const found = await ask<Steps & object>('/v1/funnels', { ...times, steps })
    expect(found).toMatchObject({
      conversion: 0,
      steps: [
        { conversion: 1, stepConversion: 1 },
        { count: 0, conversion: 0, stepConversion: 0 },
        { stepConversion: null }
      ]
    })
  })
})

describe('a funnel of one event type', () => {
  const busy = uniqueProject('busy')
  const count = 5_000
  beforeAll(async () => {
    const [event] = events as readonly [PlainEvent]
    const rest = { userId: 'u0', anonymousId: '', personId: 'u0', eventType: 'view', properties: {} }
    // Two of them at each moment.
    const list = Array.from({ length: count }, (_, index) => {
      const country = index === count - 1 ? 'FR' : 'DE'
      return { ...event, ...rest, eventId: `busy-${index}`, ms: startMs + (index >> 1) * 1_000, offset: index, country }
    })
    await insert(busy, list)
  })

  it('is answered for a person with thousands of such events', async () => {
    const inFrance = { property: 'country', operator: 'is', values: ['FR'] }
    const elsewhere = { ...inFrance, operator: 'isNot' }
    const view = { eventType: 'view' }
    const steps = [view, { ...view, filters: [elsewhere] }, { ...view, filters: [inFrance] }, view]
    const payload = { startTime: '2026-03-20', endTime: '2026-03-21', conversionWindow: '1s', steps }
    const headers = { 'x-api-key': `key-${busy}` }
    const response = await query.app.inject({ method: 'POST', url: '/v1/funnels', payload, headers })
    // The last moment is that of the event in France; after it there is one that was counted before.
    expect(response.json()).toMatchObject({ steps: [{ count: 1 }, { count: 1 }, { count: 1 }, { count: 1 }] })
    const late = await query.app.inject({
      method: 'POST',
      url: '/v1/funnels',
      payload: { ...payload, steps: [...steps, view] },
      headers
    })
    expect(late.json<Steps>().steps.map((step) => step.count)).toEqual([1, 1, 1, 1, 0])
  })
})

describe('retention', () => {
  const questionArb = fc.record({
    times: timesArb,
    firstEvent: fc.constantFrom(...types),
    returningEvent: fc.constantFrom(...types),
    filters: fc.option(filtersArb, { nil: undefined }),
    granularity: fc.constantFrom('day', 'week', 'month'),
    timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'America/Los_Angeles', 'Asia/Kathmandu'),
    periods: fc.integer({ min: 1, max: 9 }),
    identity: identityArb
  })

  it('counts what looking at every person counts, by the days of any zone', async () => {
    await fc.assert(
      fc.asyncProperty(questionArb, async ({ times, filters, ...rest }) => {
        const given = {
          ...times,
          ...rest,
          ...(filters === undefined ? {} : { returningFilters: JSON.stringify(filters) })
        }
        const found = await ask<{ cohorts: { size: number; returned: number[] }[] }>(url('/v1/retention', given))
        const asText = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)]))
        expect(found.cohorts.map(({ size, returned }) => [size, ...returned.map((count) => count ?? 0)])).toEqual(
          plainRetention(readRetention(asText, 0), events)
        )
      }),
      { numRuns: 12 }
    )
  })
})

describe('the most frequent values', () => {
  const questionArb = fc.record({
    times: timesArb,
    by: fc.constantFrom('events', 'users'),
    limit: fc.integer({ min: 1, max: 4 }),
    eventType: fc.option(fc.constantFrom(...types), { nil: undefined }),
    filters: filtersArb,
    identity: identityArb
  })

  it('are those of counting each event, with the rest and the total', async () => {
    await fc.assert(
      fc.asyncProperty(propertyArb, questionArb, async (dimension, { times, filters, limit, ...rest }) => {
        const given = { ...times, ...rest, limit, filters: JSON.stringify(filters) }
        type Count = { events: number; users: number; share: number | null }
        type Found = { total: Count; values: (Count & { value: string })[]; other: Count }
        const found = await ask<Found>(url(`/v1/top/${dimension}`, given))
        const asText = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
        const all = plainTop(readTop(dimension, { ...asText, limit: String(limit) }, 0), events)
        const { by } = rest
        const most = all.values
          .toSorted((left, right) => right[by] - left[by] || (left.value < right.value ? -1 : 1))
          .slice(0, limit)
        const share = (count: number): number | null => (all.total[by] === 0 ? null : count / all.total[by])
        expect(found.total).toEqual(all.total)
        expect(found.values).toEqual(most.map((each) => ({ ...each, share: share(each[by]) })))
        const others = all.without(most.map(({ value }) => value))
        expect(found.other).toEqual({ ...others, share: share(others[by]) })
      }),
      { numRuns: 20 }
    )
  })
})

describe("a user's timeline", () => {
  interface Page {
    readonly personId?: string
    readonly events: readonly { readonly eventId: string; readonly properties: unknown; readonly timestamp: string }[]
    readonly nextCursor: string | null
  }
  const span = { startTime: '2026-03-20', endTime: '2026-04-04' }

  it.each([
    ['u3', 'person', 'desc', 7],
    ['u4', 'person', 'asc', 50],
    ['u0', 'person', 'asc', 9],
    ['u0', 'raw', 'desc', 4],
    ['anon:d5', 'person', 'asc', 11],
    ['nobody', 'person', 'asc', 3]
  ] as const)(
    'has each event of %s (%s) once, in order %s, whatever the pages of %i',
    async (userId, identity, order, limit) => {
      const personId = persons.personOf(userId).personId
      const own = events
        .filter((event) => (identity === 'raw' ? event.userId === userId : event.personId === personId))
        .toSorted((left, right) => (order === 'asc' ? compareEvents(left, right) : compareEvents(right, left)))
      const seen: Page['events'][number][] = []
      for (let cursor: string | null | undefined; cursor !== null;) {
        const page: Page = await ask(url(`/v1/users/${userId}/events`, { ...span, identity, order, limit, cursor }))
        expect(page.personId).toBe(identity === 'raw' ? undefined : personId)
        expect(page.events.length).toBe(Math.min(limit, own.length - seen.length))
        seen.push(...page.events)
        cursor = page.nextCursor
      }
      expect(seen.map(({ eventId, timestamp, properties }) => [eventId, timestamp, properties])).toEqual(
        own.map(({ eventId, ms, properties }) => [eventId, new Date(ms).toISOString(), properties])
      )
    }
  )

  it('ends a page of large events before it is larger than an answer may be', async () => {
    const large = uniqueProject('large')
    const [event] = events as readonly [PlainEvent]
    const properties = { text: '"'.repeat(100_000) }
    const list = Array.from({ length: 20 }, (_, offset) => {
      return { ...event, eventId: `large-${offset}`, userId: 'u0', ms: startMs + offset, offset, properties }
    })
    await insert(large, list)
    const seen: string[] = []
    for (let cursor: string | null | undefined; cursor !== null;) {
      const path = url('/v1/users/u0/events', { ...span, identity: 'raw', order: 'asc', cursor })
      const page = (await query.app.inject({ url: path, headers: { 'x-api-key': `key-${large}` } })).json<Page>()
      expect(page.events.length).toBeLessThanOrEqual(6)
      seen.push(...page.events.map(({ eventId }) => eventId))
      cursor = page.nextCursor
    }
    expect(seen).toEqual(list.map(({ eventId }) => eventId))
  })

  it('is made anew for each question and then sent again', async () => {
    const headers = { 'x-api-key': `key-${mine}` }
    const of = { url: url('/v1/users/u5/events', { ...span, limit: 3 }), headers }
    const uses = [await query.app.inject(of), await query.app.inject(of)].map((each) => each.headers['x-cache'])
    expect(uses).toEqual(['MISS', 'HIT'])
    expect((await query.app.inject({ ...of, headers: { 'x-api-key': `key-${other}` } })).headers['x-cache']).toBe(
      'MISS'
    )
  })
})

describe('texts that would like to be more', () => {
  const texts = [
    `' OR 1 = 1 --`,
    `\\' OR 1 = 1 --`,
    `') OR projectId != '`,
    '{p0:String}',
    '\\x27 OR 1',
    '\t\n\r\\N',
    '%27 OR 1',
    '`events_raw`',
    '/* */ UNION ALL SELECT',
    '\u2019 \ud83d\ude00 \u0000 end'
  ]
  const odd = uniqueProject('odd')
  beforeAll(() =>
    insert(
      odd,
      texts.map((text, index) => ({
        ...(events[0] as PlainEvent),
        eventId: `odd-${index}`,
        eventType: text,
        userId: text,
        ms: startMs + index,
        offset: index,
        country: '',
        properties: { [text]: text }
      }))
    )
  )

  it.each(texts)('are values wherever they stand: %j', async (text) => {
    const headers = { 'x-api-key': `key-${odd}` }
    const get = async (path: string) => (await query.app.inject({ url: path, headers })).json<Record<string, unknown>>()
    const span = { startTime: '2026-03-20', endTime: '2026-03-21', identity: 'raw' }
    const filters = JSON.stringify([{ property: `properties.${text}`, operator: 'is', values: [text] }])
    const path = `/v1/top/${encodeURIComponent(`properties.${text}`)}`
    expect(await get(url(path, { ...span, eventType: text, filters }))).toMatchObject({
      total: { events: 1, users: 1 },
      values: [{ value: text, events: 1 }]
    })
    expect(await get(url(`/v1/users/${encodeURIComponent(text)}/events`, span))).toMatchObject({
      events: [{ eventType: text, properties: { [text]: text } }]
    })
    const events = { firstEvent: text, returningEvent: text, firstFilters: filters }
    expect(await get(url('/v1/retention', { ...span, ...events }))).toMatchObject({ cohorts: [{ size: 1 }] })
    const steps = [{ eventType: text, filters: JSON.parse(filters) as object[] }, { eventType: text }]
    const payload = { ...span, steps, breakdown: { property: `properties.${text}` } }
    const funnel = await query.app.inject({ method: 'POST', url: '/v1/funnels', payload, headers })
    expect(funnel.json()).toMatchObject({
      breakdown: { values: [{ value: text, steps: [{ count: 1 }, { count: 0 }] }] }
    })
  })
})
