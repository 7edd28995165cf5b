import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { createEventSchemas } from '@millrace/stores/event-schemas'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { systemClock } from '@millrace/kernel'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { uniqueProject } from '@millrace/testkit/unique'
import { checkSchema, listSchemas, pushSchema, setSchemaMode } from '../src/schemas.ts'

const stack = new AsyncDisposableStack()
const { DATABASE_URL, CLICKHOUSE_URL } = testEndpoints()
const log = createSilentLogger()
let postgres: Postgres

beforeAll(async () => {
  postgres = stack.use(await openPostgres({ url: DATABASE_URL, poolSize: 8, log, name: 'test' }))
})
afterAll(() => stack.disposeAsync())

async function newProject(): Promise<string> {
  const projectId = uniqueProject('schemas')
  await postgres.query('INSERT INTO projects (id, name) VALUES ($1, $1)', [projectId])
  return projectId
}

const amount = (type: string) => ({ type: 'object', required: ['amount'], properties: { amount: { type } } })

describe('schemas', () => {
  it('are versions that never change, one of them in force, and every change is in the audit log', async () => {
    const projectId = await newProject()
    const admin = { postgres, actor: 'cli:test' }
    const place = { projectId, eventType: 'purchase' }
    expect(await pushSchema(admin, place, amount('string'))).toEqual({
      ...place,
      version: 1,
      mode: 'warn',
      added: true
    })
    expect(await pushSchema(admin, place, amount('string'), 'enforce')).toEqual({
      ...place,
      version: 1,
      mode: 'enforce',
      added: false
    })
    expect(await pushSchema(admin, place, amount('number'))).toMatchObject({ version: 2, mode: 'enforce', added: true })
    const gateway = createEventSchemas({ postgres, clock: systemClock, log })
    const active = (await gateway.of(projectId))?.get('purchase')
    expect([active?.version, active?.mode, active?.schema?.check({ amount: '1' })?.pointer]).toEqual([
      2,
      'enforce',
      '/properties/amount'
    ])
    expect(await setSchemaMode(admin, place, 'off')).toMatchObject({ version: 2, mode: 'off' })
    expect((await createEventSchemas({ postgres, clock: systemClock, log }).of(projectId))?.size).toBe(0)
    expect(await listSchemas(postgres, projectId)).toEqual([
      { ...place, version: 2, mode: 'off', versions: 2, changedAt: expect.any(Date) as Date }
    ])
    const audit = await postgres.query<{ action: string }>(
      'SELECT action FROM audit_log WHERE project_id = $1 ORDER BY id',
      [projectId]
    )
    expect(audit.map(({ action }) => action)).toEqual(['schema.push', 'schema.push', 'schema.push', 'schema.mode'])
    await expect(
      postgres.query('UPDATE event_schemas SET version = 9 WHERE project_id = $1', [projectId])
    ).rejects.toMatchObject({ class: 'poison' })
  })

  it('get versions without a gap when many are pushed at once', async () => {
    const projectId = await newProject()
    const pushes = Array.from({ length: 6 }, (_, index) =>
      pushSchema({ postgres, actor: 'test' }, { projectId, eventType: 'x' }, { description: `version ${index}` })
    )
    const versions = (await Promise.all(pushes)).map(({ version }) => version)
    expect(versions.toSorted()).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('are refused for a project that does not exist, and for what is no schema', async () => {
    const admin = { postgres, actor: 'test' }
    const nowhere = { projectId: 'no-such-project', eventType: 'x' }
    await expect(pushSchema(admin, nowhere, {})).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
    await expect(pushSchema(admin, nowhere, { type: 'money' })).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
    await expect(setSchemaMode(admin, nowhere, 'off')).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
  })

  it('can be tried on stored events: how many would be refused, and where', async () => {
    const projectId = await newProject()
    await using clickhouse = await openClickhouse({ url: CLICKHOUSE_URL, log, applicationName: 'test' })
    const lines = Array.from({ length: 20 }, (_, index) =>
      JSON.stringify({
        projectId,
        eventId: `e${String(index).padStart(2, '0')}`,
        eventType: index < 15 ? 'purchase' : 'other',
        timestamp: `2026-06-01 12:00:${String(index).padStart(2, '0')}.000`,
        properties: index % 5 === 0 ? '{"amount":"text"}' : '{"amount":1}',
        version: '1'
      })
    )
    const columns = ['projectId', 'eventId', 'eventType', 'timestamp', 'properties', 'version']
    await clickhouse.insertLines('events_raw', columns, Buffer.from(`${lines.join('\n')}\n`), { queryId: projectId })
    const check = (last: number) =>
      checkSchema(clickhouse, { projectId, eventType: 'purchase' }, amount('number'), last)
    const mismatch = { pointer: '/properties/amount', expected: 'must be number' }
    expect(await check(100)).toEqual({
      projectId,
      eventType: 'purchase',
      checked: 15,
      refused: 3,
      examples: ['e10', 'e05', 'e00'].map((eventId) => ({ eventId, ...mismatch }))
    })
    expect(await check(5)).toMatchObject({ checked: 5, refused: 1 })
  })
})
