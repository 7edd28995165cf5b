// The warehouse attributes every event as the pure function does, whatever the order of events, merges and undos.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { enrich } from '@millrace/contracts'
import type { RawRecord } from '@millrace/contracts'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { createIdentityWorld, expectedPersons } from '@millrace/testkit/identity-world'
import type { ExpectedPerson, IdentityChange } from '@millrace/testkit/identity-world'
import { createRandom } from '@millrace/testkit/random'
import type { Random } from '@millrace/testkit/random'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { createToEntry } from '@millrace/warehouse/entry'
import type { WarehouseEntry } from '@millrace/warehouse/entry'
import { insertLines } from '@millrace/warehouse/insert'
import { warehouseTables } from '@millrace/warehouse/tables'
import { renewPersonEdges, writePersonEdges } from '../src/identity-closure.ts'
import { explainDevice, explainEvent, explainUser } from '../src/identity-explain.ts'
import { inForce, mergeUsers, readMerges, undoMerge } from '../src/identity-merges.ts'
import { migrate } from '../src/migrate.ts'

const log = createSilentLogger()
const stack = new AsyncDisposableStack()
const actor = 'cli:test'
const toEntry = createToEntry(enrich)
let postgres: Postgres
let clickhouse: Clickhouse

beforeAll(async () => {
  const { databaseUrl, clickhouseUrl } = stack.use(await openTestDatabases('identity'))
  await migrate({ databaseDirectUrl: databaseUrl, clickhouseUrl, log })
  postgres = stack.use(await openPostgres({ url: databaseUrl, poolSize: 4, log, name: 'test' }))
  clickhouse = stack.use(await openClickhouse({ url: clickhouseUrl, log, applicationName: 'test' }))
})
afterAll(() => stack.disposeAsync())

/** Loads records as the loader does: one insert for each table, in order. */
async function load(records: readonly RawRecord[]): Promise<void> {
  const entries = records
    .map(toEntry)
    .flatMap((decoded): WarehouseEntry[] => (decoded.kind === 'item' ? [decoded.item] : []))
  for (const table of warehouseTables) await insertLines(clickhouse, table, table.linesOf(entries))
}

async function addProject(projectId: string): Promise<void> {
  await postgres.query('INSERT INTO projects (id, name) VALUES ($1, $1)', [projectId])
}

/** Does what somebody asked for; an undo takes back any merge in force. */
async function change(projectId: string, wanted: IdentityChange, random: Random): Promise<void> {
  if (wanted.kind === 'merge') {
    const { from: fromUserId, into: intoUserId } = wanted
    await mergeUsers({ postgres, actor }, { projectId, fromUserId, intoUserId })
    return
  }
  const merges = inForce((await readMerges(postgres, projectId)).merges)
  if (merges.length > 0) await undoMerge({ postgres, actor }, { projectId, mergeId: random.pick(merges).mergeId })
}

/** Dictionaries are renewed by themselves, later; a test does not wait. */
async function renew(): Promise<void> {
  for (const name of ['devices', 'shared', 'persons'])
    await clickhouse.command(`SYSTEM RELOAD DICTIONARY identity_${name}`)
}

/** Who did each event by a view: project and event id -> person. */
async function shown(view: 'events' | 'events_fresh', projectId = ''): Promise<ReadonlyMap<string, ExpectedPerson>> {
  const rows = await clickhouse.rows<ExpectedPerson & { key: string }>(
    `SELECT concat(projectId, ' ', eventId) AS key, personId, personIdAtEvent FROM ${view}
     WHERE {projectId:String} = '' OR projectId = {projectId:String} ORDER BY key`,
    { projectId }
  )
  return new Map(rows.map(({ key, personId, personIdAtEvent }) => [key, { personId, personIdAtEvent }]))
}

const permutations = 50

describe('attribution', () => {
  it(`is that of the pure function in ${permutations} orders of events, copies, merges and undos`, async () => {
    const worlds = Array.from({ length: permutations }, (_, order) => `order-${order}`)
    const inserted: RawRecord[] = []
    const expected = new Map<string, ExpectedPerson>()
    const made = new Map<string, readonly RawRecord[]>()
    for (const projectId of worlds) {
      const random = createRandom(projectId)
      const { records, changes } = createIdentityWorld(random, { projectId, count: 60 })
      made.set(projectId, records)
      // A third of the records comes twice, everything in an order of its own.
      const delivered = [...records, ...records.filter(() => random.chance(0.3))]
      inserted.push(...delivered.toSorted(() => random() - 0.5))
      await addProject(projectId)
      for (const wanted of changes) await change(projectId, wanted, random)
    }
    const random = createRandom('batches')
    const shuffled = inserted.toSorted(() => random() - 0.5)
    for (let from = 0; from < shuffled.length; from += 700) {
      await load(shuffled.slice(from, from + 700))
      // Between the batches: a closure that is written early or twice does no harm.
      if (from % 1_400 === 0) await writePersonEdges({ postgres, clickhouse }, random.pick(worlds))
    }
    await writePersonEdges({ postgres, clickhouse })
    for (const [projectId, records] of made) {
      const { merges } = await readMerges(postgres, projectId)
      for (const [eventId, person] of expectedPersons(records, inForce(merges)))
        expected.set(`${projectId} ${eventId}`, person)
    }
    const differences = (found: ReadonlyMap<string, ExpectedPerson>): readonly unknown[] =>
      [...expected].filter(([key, person]) => {
        const there = found.get(key)
        return there?.personId !== person.personId || there.personIdAtEvent !== person.personIdAtEvent
      })
    const compare = async () => {
      await renew()
      for (const view of ['events', 'events_fresh'] as const) {
        const found = await shown(view)
        expect([view, differences(found), found.size]).toEqual([view, [], expected.size])
      }
    }
    await compare()
    await clickhouse.command('OPTIMIZE TABLE identity_links FINAL')
    await compare()
    // The worlds hold what they are for.
    const both = [...expected.values()]
    expect(both.some(({ personId, personIdAtEvent }) => personId !== personIdAtEvent)).toBe(true)
    expect(both.some(({ personId }) => personId === '')).toBe(true)
    expect(both.length).toBeGreaterThan(permutations * 45)
  })

  it('is loaded from a row for each user of a device, not from the events', async () => {
    const projectId = 'pairs'
    await addProject(projectId)
    const at = (second: number) => new Date(Date.UTC(2026, 5, 1, 0, 0, second)).toISOString()
    const record = (offset: number, eventId: string, userId: string): RawRecord => ({
      topic: `events.${projectId}`,
      partition: 0,
      offset: BigInt(offset),
      appendedAtMs: Date.UTC(2026, 5, 2) + offset,
      value: Buffer.from(
        JSON.stringify({ eventId, eventType: 'a', userId, anonymousId: 'd', timestamp: at(60 - offset) })
      )
    })
    // The server refuses the question when it would have to read the links.
    const pairs = async () =>
      await clickhouse.rows(
        `SELECT anonymousId, userId, toUnixTimestamp(since) AS second FROM identity_pairs
         WHERE projectId = '${projectId}' ORDER BY ALL SETTINGS force_optimize_projection_name = 'pairs'`
      )
    const second = (offset: number) => Date.parse(at(60 - offset)) / 1_000
    await load(Array.from({ length: 20 }, (_, offset) => record(offset, `e${offset}`, 'ann')))
    // What a later copy of an event says otherwise stands beside it, merged or not.
    const copies = [record(30, 'e1', 'bob'), record(31, 'e2', 'ann')]
    const expected = [
      { anonymousId: 'd', userId: 'ann', second: second(31) },
      { anonymousId: 'd', userId: 'bob', second: second(30) }
    ]
    await load(copies)
    expect(await pairs()).toEqual(expected)
    await load(copies)
    await clickhouse.command('OPTIMIZE TABLE identity_links FINAL')
    expect(await pairs()).toEqual(expected)
  })

  it('takes no device for another one, be their keys the same', async () => {
    for (const projectId of ['meeting', 'met']) await addProject(projectId)
    const link = "'meeting', 'd', 'e', 'ann', '2026-06-01 00:00:00', 1, ''"
    await clickhouse.command(`INSERT INTO identity_links VALUES (${link}), (${link.replace('meeting', 'met')})`)
    // Half of the 128 bits that a device is looked up by are those of `d` in the first project.
    await clickhouse.command(
      `INSERT INTO events_raw (projectId, eventId, eventType, anonymousId, timestamp, subjectKey)
       SELECT arrayJoin(['meeting', 'met']), 'e', 'a', 'd', '2026-06-01 00:00:00',
         reinterpretAsUInt64(substring(SHA256('meeting:d'), 1, 8))`,
      { settings: { insert_allow_materialized_columns: 1 } }
    )
    await renew()
    expect([...(await shown('events', 'meeting')), ...(await shown('events', 'met'))]).toEqual([
      ['meeting e', { personId: 'ann', personIdAtEvent: 'ann' }],
      ['met e', { personId: 'anon:d', personIdAtEvent: 'anon:d' }]
    ])
  })

  it('is after an undo exactly what it was before the merge, whatever was merged between', async () => {
    const projectId = 'undone'
    const random = createRandom(projectId)
    const { records } = createIdentityWorld(random, { projectId, count: 80 })
    await addProject(projectId)
    await load(records)
    const merge = (fromUserId: string, intoUserId: string) =>
      mergeUsers({ postgres, actor }, { projectId, fromUserId, intoUserId })
    const settle = async () => {
      await writePersonEdges({ postgres, clickhouse }, projectId)
      await renew()
      const states = [await shown('events', projectId), await shown('events_fresh', projectId)]
      expect(states[1]).toEqual(states[0])
      return states[0]
    }
    await merge('u1', 'u2')
    const before = await settle()
    const first = await merge('u2', 'u3')
    const between = await settle()
    const second = await merge('u4', 'u5')
    expect(between).not.toEqual(before)
    await undoMerge({ postgres, actor }, { projectId, mergeId: second.merge?.mergeId ?? '' })
    expect(await settle()).toEqual(between)
    await undoMerge({ postgres, actor }, { projectId, mergeId: first.merge?.mergeId ?? '' })
    expect(await settle()).toEqual(before)
  })

  it('follows no link of a person with more than a thousand ids, merged or not', async () => {
    const projectId = 'crowd'
    await addProject(projectId)
    const links = (user: string, from: number, count: number) => `INSERT INTO identity_links
      SELECT '${projectId}', concat('d', toString(number)), concat('${user}', toString(number)), '${user}',
      toDateTime64('2026-06-01 00:00:00', 3, 'UTC'), 1, '' FROM numbers(${from}, ${count})`
    const event = (device: string) => ({
      topic: `events.${projectId}`,
      partition: 0,
      offset: 0n,
      appendedAtMs: Date.UTC(2026, 5, 2),
      value: Buffer.from(JSON.stringify({ eventId: device, eventType: 'a', anonymousId: device }))
    })
    await load([event('d5'), event('d1500')])
    const persons = async () => {
      await renew()
      const views = [await shown('events', projectId), await shown('events_fresh', projectId)]
      expect(views[1]).toEqual(views[0])
      return [...(views[0] ?? [])].map(([, { personId }]) => personId)
    }
    await clickhouse.command(links('many', 0, 999))
    await clickhouse.command(links('other', 1_500, 1))
    expect(await persons()).toEqual(['other', 'many'])
    await mergeUsers({ postgres, actor }, { projectId, fromUserId: 'other', intoUserId: 'many' })
    await writePersonEdges({ postgres, clickhouse }, projectId)
    // 999 and 1 devices and two user ids.
    expect(await persons()).toEqual(['anon:d1500', 'anon:d5'])
    const explained = await explainEvent({ postgres, clickhouse }, projectId, 'd5')
    expect(explained).toMatchObject({ reason: 'too many ids', personId: 'anon:d5', link: { userId: 'many' } })
    const user = await explainUser({ postgres, clickhouse }, projectId, 'other')
    expect(user).toMatchObject({ overLimit: true, anonymousIds: 1_000, person: { userIds: ['many', 'other'] } })
  })
})

describe('merges that the warehouse has otherwise', () => {
  it('are written when a change was cut off, and taken back when PostgreSQL was restored to before them', async () => {
    const projectId = 'cut-off'
    await addProject(projectId)
    const deps = { postgres, clickhouse }
    await renewPersonEdges(deps)
    const known = async () =>
      await clickhouse.rows(
        'SELECT userId, personId FROM person_edges FINAL WHERE projectId = {projectId:String} ORDER BY ALL',
        { projectId }
      )
    await mergeUsers({ postgres, actor }, { projectId, fromUserId: 'bob', intoUserId: 'ann' })
    expect(await renewPersonEdges(deps)).toEqual([projectId])
    const before = await known()
    expect(before).toEqual([
      { userId: 'ann', personId: 'ann' },
      { userId: 'bob', personId: 'ann' }
    ])
    expect(await renewPersonEdges(deps)).toEqual([])
    const lost = (userId: string) =>
      Buffer.from(JSON.stringify({ projectId, userId, personId: 'eve', userIds: 3, version: '9000000' }))
    for (const userId of ['bob', 'eve'])
      await clickhouse.insertLines(
        'person_edges',
        ['projectId', 'userId', 'personId', 'userIds', 'version'],
        lost(userId)
      )
    expect(await renewPersonEdges(deps)).toEqual([projectId])
    expect(await known()).toEqual(before)
    expect(await renewPersonEdges(deps)).toEqual([])
  })
})

describe('explanations', () => {
  it('name the facts that decided', async () => {
    const projectId = 'explained'
    await addProject(projectId)
    const at = (second: number) => new Date(Date.UTC(2026, 5, 1, 0, 0, second)).toISOString()
    const record = (number: number, event: Record<string, unknown>): RawRecord => ({
      topic: `events.${projectId}`,
      partition: 0,
      offset: BigInt(number),
      appendedAtMs: Date.UTC(2026, 5, 2),
      value: Buffer.from(JSON.stringify({ eventId: `e${number}`, eventType: 'page_view', ...event }))
    })
    await load([
      record(1, { anonymousId: 'd', timestamp: at(1) }),
      record(2, { anonymousId: 'd', userId: 'ann', timestamp: at(5) }),
      record(3, { anonymousId: 'd', userId: 'bob', timestamp: at(9) })
    ])
    const merged = await mergeUsers(
      { postgres, actor },
      { projectId, fromUserId: 'ann', intoUserId: 'ann@shop', reason: 'ticket 3' }
    )
    await writePersonEdges({ postgres, clickhouse }, projectId)
    await renew()
    const deps = { postgres, clickhouse }
    expect(await explainEvent(deps, projectId, 'e1')).toMatchObject({
      reason: 'after',
      personId: 'ann@shop',
      personIdAtEvent: 'anon:d',
      link: { userId: 'ann', eventId: 'e2' },
      person: { personId: 'ann@shop', userIds: ['ann', 'ann@shop'] },
      merges: [{ mergeId: merged.merge?.mergeId, reason: 'ticket 3', actor }],
      shown: { personId: 'ann@shop', personIdAtEvent: 'anon:d' }
    })
    expect(await explainDevice(deps, projectId, 'd')).toEqual({
      anonymousId: 'd',
      users: 2,
      shared: false,
      intervals: [
        { from: undefined, to: new Date(Date.parse(at(9)) - 1), userId: 'ann', personId: 'ann@shop' },
        { from: new Date(at(9)), to: undefined, userId: 'bob', personId: 'bob' }
      ]
    })
    await expect(explainEvent(deps, projectId, 'nope')).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
    await expect(explainDevice(deps, projectId, 'nope')).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
  })
})

describe('merges', () => {
  it('are refused, kept and audited as they were asked for', async () => {
    const projectId = 'merges'
    await addProject(projectId)
    const merge = (fromUserId: string, intoUserId: string, project = projectId) =>
      mergeUsers({ postgres, actor }, { projectId: project, fromUserId, intoUserId })
    await expect(merge('null', 'ann')).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
    await expect(merge('bob', 'ann', 'nowhere')).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
    const { merge: first } = await merge('bob', 'ann')
    expect((await merge('ann', 'bob')).merge).toBeUndefined()
    // The person that `bob` belongs to becomes part of the other one.
    expect((await merge('bob', 'eve')).person).toEqual({ personId: 'eve', userIds: ['ann', 'bob', 'eve'] })
    const undo = () => undoMerge({ postgres, actor }, { projectId, mergeId: first?.mergeId ?? '', reason: 'wrong' })
    expect(await undo()).toMatchObject({ fromUserId: 'bob', undone: { actor, reason: 'wrong' } })
    await expect(undo()).rejects.toMatchObject({ code: 'PIPE_CONFLICT' })
    const audited = await postgres.query('SELECT action FROM audit_log WHERE project_id = $1 ORDER BY id', [projectId])
    expect(audited.map((row) => row['action'])).toEqual(['identity.merge', 'identity.merge', 'identity.undo'])
    await expect(postgres.query('DELETE FROM identity_edges')).rejects.toMatchObject({ code: 'PIPE_POSTGRES_REFUSED' })
  })
})
