// Who did an event, asked as the query service asks: the view shows persons of the own project, although the dictionaries
// behind it hold those of all, and nothing behind the view shows more.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { uniqueProject } from '@millrace/testkit/unique'
import { createByteBudget } from '../src/byte-budget.ts'
import { createQueryRunner, toAnswer } from '../src/run-query.ts'
import { gate, loadGate } from '../src/sql/gate.ts'

const log = createSilentLogger()
const roomyBudget = () => createByteBudget({ bytes: 1e9, waitMs: 0, clock: systemClock })
const limits = {
  maxResultRows: 1_000_000,
  maxResultBytes: 100_000_000,
  maxReadRows: 100_000_000,
  maxMemoryBytes: 1_000_000_000,
  maxThreads: 2
}
const mine = uniqueProject('mine')
const other = uniqueProject('other')
const canary = `canary-${randomUUID()}`
let clickhouse: Clickhouse

/** A device that both projects know: an event before the login, and one of each user. */
async function fill(projectId: string, users: readonly string[]): Promise<void> {
  const text = (values: readonly string[]): string => values.map((value) => `'${value}'`).join(', ')
  const at = (hour: number): string => `2026-06-01 0${hour}:00:00`
  const events = ['', ...users].map(
    (user, hour) => `(${text([projectId, `${projectId}-${hour}`, user, 'device', at(hour)])})`
  )
  await clickhouse.command(
    `INSERT INTO events_raw (projectId, eventId, userId, anonymousId, timestamp) VALUES ${events.join(', ')}`
  )
  const links = events.slice(1).join(', ')
  await clickhouse.command(
    `INSERT INTO identity_links (projectId, eventId, userId, anonymousId, timestamp) VALUES ${links}`
  )
}

async function ask(sql: string, projectId = mine): Promise<readonly (readonly unknown[])[]> {
  const runner = createQueryRunner(clickhouse, limits, systemClock, roomyBudget(), 10_000)
  const request = { projectId, sql, params: {}, signal: new AbortController().signal }
  return toAnswer(
    (await runner.run({ queryId: randomUUID(), format: 'JSONCompact', timeoutMs: 10_000, ...request })).body
  ).rows
}

beforeAll(async () => {
  await loadGate()
  clickhouse = await openClickhouse({ url: testEndpoints().CLICKHOUSE_URL, log, applicationName: 'test' })
  await fill(mine, ['ann'])
  await fill(other, [canary, `${canary}-2`])
  const edge = JSON.stringify({ projectId: other, userId: canary, personId: `${canary}-2`, userIds: 2, version: '1' })
  await clickhouse.insertLines(
    'person_edges',
    ['projectId', 'userId', 'personId', 'userIds', 'version'],
    Buffer.from(edge)
  )
  for (const name of ['devices', 'shared', 'persons'])
    await clickhouse.command(`SYSTEM RELOAD DICTIONARY identity_${name}`)
})
afterAll(() => clickhouse[Symbol.asyncDispose]())

describe('persons of a project', () => {
  it.each(['events', 'events_fresh'])('are those of its own links, in %s', async (view) => {
    const sql = `SELECT eventId, personId, personIdAtEvent FROM ${view} ORDER BY eventId`
    expect(gate(sql)).toMatchObject({ ok: true })
    expect(await ask(sql)).toEqual([
      [`${mine}-0`, 'ann', 'anon:device'],
      [`${mine}-1`, 'ann', 'ann']
    ])
    expect(await ask(sql, other)).toEqual([
      [`${other}-0`, `${canary}-2`, 'anon:device'],
      [`${other}-1`, `${canary}-2`, `${canary}-2`],
      [`${other}-2`, `${canary}-2`, `${canary}-2`]
    ])
  })

  it.each([
    'identity_links',
    'person_edges',
    'identity_pairs',
    'identity_crowds',
    'identity_intervals',
    'identity_single_users',
    'identity_several_users',
    'identity_merged_users',
    'identity_event_subjects',
    'identity_devices',
    'identity_shared',
    'identity_persons',
    "merge('app', '^identity_(devices|shared|persons)$')"
  ])('show nowhere else, gate or no gate: %s', async (source) => {
    const sql = `SELECT * FROM ${source}`
    expect(gate(sql).ok).toBe(false)
    const shown = await ask(sql).then(JSON.stringify, String)
    expect(shown).not.toContain(canary)
  })

  it.each([
    `dictGet('identity_devices', 'userId', reinterpretAsUInt64(substring(SHA256('${other}:device'), 1, 8)))`,
    `dictGetString('app.identity_devices', 'userId', toUInt64(1))`,
    `dictGetOrDefault('identity_persons', 'personId', ('${other}', '${canary}'), '')`,
    "`\\x64ictGet`('identity_devices', 'userId', toUInt64(1))"
  ])('cannot be looked up: %s', async (expression) => {
    expect(gate(`SELECT ${expression}`).ok).toBe(false)
    await expect(ask(`SELECT ${expression}`)).rejects.toMatchObject({ details: { code: 497 } })
  })
})
