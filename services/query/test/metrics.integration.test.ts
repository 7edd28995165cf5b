// Metrics and the schema on the real engine, of a project without live state.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { enrich, eventColumns, rawTopic, toRowLine } from '@millrace/contracts'
import { uniqueProject } from '@millrace/testkit/unique'
import { readableTables } from '../src/sql/vocabulary.ts'
import { openQuery } from './open-query.ts'

const project = uniqueProject('counted')
const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Start of a day that is over. */
const first = Math.floor(Date.now() / dayMs) * dayMs - 3 * dayMs
const stack = new AsyncDisposableStack()
let query: Awaited<ReturnType<typeof openQuery>>

/** Twelve events, two hours apart, of three users. */
const events = Array.from({ length: 12 }, (_, index) => ({
  eventId: `e${index}`,
  eventType: index % 3 === 0 ? 'purchase' : 'page_view',
  userId: `u${index % 3}`,
  sessionId: `s${index % 2}`,
  timestamp: new Date(first + index * 2 * hourMs).toISOString(),
  properties: { revenue: index / 2, sku: 'a', [`only${index % 2}`]: true }
}))

beforeAll(async () => {
  query = stack.use(await openQuery())
  const lines = events.map((event, index) => {
    const value = Buffer.from(JSON.stringify(event))
    const appendedAtMs = Date.parse(event.timestamp) + 1_000
    const topic = rawTopic(project)
    const enriched = enrich({ topic, partition: 0, offset: BigInt(index), value, appendedAtMs })
    if (!enriched.ok) throw new Error(`test event: ${enriched.reason}`)
    return `${toRowLine(enriched.row).trimEnd()}\n`
  })
  const columns = eventColumns.map(({ name }) => name)
  await query.clickhouse.insertLines('events_raw', columns, Buffer.from(lines.join('')))
})
afterAll(() => stack.disposeAsync())

const get = (path: string) => query.app.inject({ url: path, headers: { 'x-api-key': `key-${project}` } })
const span = `startTime=${new Date(first).toISOString()}&endTime=${new Date(first + dayMs).toISOString()}`
const valuesOf = (body: { readonly data: readonly { readonly value: number | null }[] }) =>
  body.data.map(({ value }) => value)

describe('metrics', () => {
  it('are counted by hours and days, and come from the cache the second time', async () => {
    const hours = await get(`/v1/metrics/events?${span}`)
    expect(valuesOf(hours.json())).toEqual(Array.from({ length: 24 }, (_, hour) => (hour % 2 === 0 ? 1 : 0)))
    const users = await get(`/v1/metrics/daily_active_users?${span}`)
    expect(users.json()).toMatchObject({ source: 'warehouse', data: [{ value: 3, uniqueUsers: 3, count: 12 }] })
    const revenue = await get(`/v1/metrics/revenue?${span}&granularity=1d`)
    expect(revenue.json()).toMatchObject({ data: [{ value: 9, count: 4 }] })
    const again = await get(`/v1/metrics/events?${span}`)
    expect([hours, again].map(({ headers }) => headers['x-cache'])).toEqual(['MISS', 'HIT'])
    expect(again.body).toBe(hours.body)
  })

  it('are counted by the days of a zone, also one that is not a whole hour away', async () => {
    const ask = async (metric: string, timezone: string) =>
      (await get(`/v1/metrics/${metric}?${span}&granularity=1d&timezone=${timezone}`)).json<{
        data: { timestamp: string; value: number; count: number }[]
      }>()
    // Events every two hours from midnight UTC: in New York five hours of them belong to the day before.
    const [events, users] = [await ask('events', 'Etc/GMT%2B5'), await ask('active_users', 'Etc/GMT%2B5')]
    expect(events.data.map(({ value }) => value)).toEqual([3, 9])
    expect(users.data.map(({ value, count }) => [value, count])).toEqual([
      [3, 3],
      [3, 9]
    ])
    const quarter = await ask('revenue', 'Asia/Kathmandu')
    // The last purchase is at 18:00 UTC, a quarter of an hour before the day ends.
    expect(quarter.data.map(({ timestamp, value }) => [timestamp.slice(11, 16), value])).toEqual([
      ['18:15', 9],
      ['18:15', 0]
    ])
  })

  it('are told for one value of a dimension, and for each', async () => {
    const one = await get(`/v1/metrics/events?${span}&granularity=1d&dimension=purchase`)
    expect(one.json()).toMatchObject({ dimension: ['purchase'], data: [{ value: 4 }] })
    const each = await get(`/v1/metrics/events?${span}&granularity=1d&dimensions=eventType`)
    expect(each.json()).toMatchObject({
      dimensions: ['eventType'],
      data: [{ value: 12 }],
      values: [
        { dimension: ['page_view'], data: [{ value: 8 }] },
        { dimension: ['purchase'], data: [{ value: 4 }] }
      ]
    })
  })
})

describe('sessions and the schema', () => {
  it('shows sessions as rows', async () => {
    const { rows } = (await query.get(project, 'SELECT sessionId, totalEvents FROM sessions ORDER BY sessionId')).json<{
      rows: unknown[][]
    }>()
    expect(rows).toEqual([
      ['s0', 6],
      ['s1', 6]
    ])
    const one = await get('/v1/sessions/s1')
    expect([one.statusCode, one.json()]).toMatchObject([200, { sessionId: 's1', totalEvents: 6, userId: 'u2' }])
    expect((await get('/v1/sessions/none')).json()).toMatchObject({ status: 404, code: 'not_found' })
  })

  it('describes tables, and the properties of what came lately', async () => {
    await expect.poll(async () => (await get('/v1/schema')).statusCode).toBe(200)
    const { tables, eventTypes } = (await get('/v1/schema')).json<{
      tables: { name: string; columns: { name: string; type: string }[] }[]
      eventTypes: { eventType: string; properties: object[] }[]
    }>()
    expect(tables.map(({ name }) => name)).toEqual([...readableTables])
    expect(tables[0]?.columns[0]).toEqual({ name: 'projectId', type: 'LowCardinality(String)' })
    expect(eventTypes.map(({ eventType }) => eventType)).toEqual(['page_view', 'purchase'])
    expect(eventTypes[1]?.properties).toEqual([
      { name: 'revenue', type: 'number', events: 4 },
      { name: 'sku', type: 'string', events: 4 },
      { name: 'only0', type: 'boolean', events: 2 },
      { name: 'only1', type: 'boolean', events: 2 }
    ])
  })
})
