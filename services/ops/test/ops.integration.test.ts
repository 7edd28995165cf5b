// The administration API as a process, with a processor that writes dead letters.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { liveTiming } from '@millrace/aggregation/timing'
import { rawTopic, redriveTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { createEpochKeeper } from '@millrace/operations/epoch-keeper'
import { openPostgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { openPipeline, testAdminToken } from '@millrace/testkit/pipeline'
import type { Pipeline } from '@millrace/testkit/pipeline'
import { unique, uniqueProject } from '@millrace/testkit/unique'

const stack = new AsyncDisposableStack()
const group = unique('process')
const projectId = uniqueProject('ops')
let pipeline: Pipeline
let created: Answer

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-ops-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const others = { LOADER_GROUP: `${group}-load`, RECORDER_GROUP: `${group}-record` }
  const env = { CONSUMER_GROUP: group, PROJECTS: projectId, ...others }
  pipeline = stack.use(await openPipeline({ endpoints: testEndpoints(), folder, only: ['ops', 'processor'], env }))
  const topics = [group, ...Object.values(others)].map(redriveTopic)
  await pipeline.admin.createTopics(topics.map((topic) => ({ topic, partitions: 1, replicationFactor: 1, config: {} })))
  created = await call('POST', '/v1/projects', { projectId, name: 'Ops' })
})
afterAll(() => stack.disposeAsync())

/** The body of a reply. */
interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

async function call(method: string, path: string, body?: object, token = testAdminToken): Promise<Answer> {
  const response = await fetch(`${pipeline.services.service('ops').url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' })
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  return { status: response.status, body: (await response.json()) as Answer['body'] }
}

it('administers projects, keys, schemas and metrics, and says so in the audit log', async () => {
  expect((await call('GET', '/v1/projects', undefined, 'wrong')).status).toBe(401)
  expect([created.status, Object.keys(created.body)]).toEqual([201, ['projectId', 'writeKey', 'secretKey']])
  expect((await call('POST', '/v1/projects', { projectId })).status).toBe(409)

  const key = await call('POST', `/v1/projects/${projectId}/keys`, { kind: 'write' })
  const { keyId } = key.body
  for (let time = 0; time < 2; time++) {
    const revoked = await call('DELETE', `/v1/keys/${String(keyId)}`)
    expect(revoked).toEqual({ status: 200, body: { keyId, revoked: true } })
  }
  const settings = { 'limits.project.eventsPerSecond': '7' }
  expect((await call('PATCH', `/v1/projects/${projectId}`, { settings })).status).toBe(200)
  const schema = { type: 'object', required: ['price'], properties: { price: { type: 'number' } } }
  const schemaPath = `/v1/projects/${projectId}/schemas/purchase`
  expect((await call('PUT', schemaPath, { schema })).body).toMatchObject({ version: 1, added: true })
  expect((await call('PUT', schemaPath, { schema })).body).toMatchObject({ version: 1, added: false })
  const definition = { eventTypes: ['purchase'], measure: { kind: 'count' } }
  expect((await call('PUT', `/v1/projects/${projectId}/metrics/orders`, { definition })).body).toMatchObject({
    name: 'orders',
    version: 1,
    added: true
  })

  const audit = await call('GET', `/v1/audit?project=${projectId}`)
  const all = audit.body['rows'] as { action: string; actor: string; before: unknown; after: unknown }[]
  const rows = all.filter(({ action }) => !action.startsWith('letters.'))
  expect(new Set(rows.map(({ actor }) => actor))).toEqual(new Set(['api:admin']))
  expect(rows.map(({ action }) => action)).toEqual([
    'metric.define',
    'schema.push',
    'schema.push',
    'project.set',
    'key.revoke',
    'key.create',
    'key.create',
    'key.create',
    'project.create'
  ])
  expect(rows.find(({ action }) => action === 'key.revoke')).toMatchObject({
    before: { revoked: false },
    after: { revoked: true }
  })
  expect((await call('GET', '/v1/audit/verification')).body).toMatchObject({ intact: true })
})

it('has the doctor look at the Redis of every role that its settings name', async () => {
  const { status, body } = await call('GET', '/v1/doctor?only=redis&only=postgres')
  const findings = body['findings'] as readonly { check: string; subject: string; status: string }[]
  expect([status, body['healthy']]).toEqual([200, true])
  expect(findings.map((found) => `${found.check} ${found.subject} ${found.status}`)).toEqual([
    'redis state ok',
    'redis dedup ok',
    'redis cache ok',
    'postgres server ok'
  ])
})

it('shows a dead letter, sends it again, sees it fail again, and gives it up', async () => {
  const topic = rawTopic(projectId)
  const producer = stack.use(await pipeline.kafka.producer())
  await producer.produce(topic, [{ partition: 2, key: 'k', value: Buffer.from('no event') }])
  const letterId = `${group}:${topic}:2:0`
  const letters = `/v1/projects/${projectId}/letters`
  const states = async () => (await call('GET', letters)).body['states']
  await eventually('the letter', async () => {
    const { body } = await call('GET', letters)
    return JSON.stringify(body['letters']).includes(letterId)
  })
  const shown = (await call('GET', `/v1/letters/${encodeURIComponent(letterId)}`)).body
  expect(shown).toMatchObject({
    id: letterId,
    value: 'no event',
    reason: 'parse',
    code: 'PIPE_NOT_AN_EVENT',
    copies: 1
  })
  expect((await call('POST', `${letters}/redrive`, { dryRun: true })).body).toMatchObject({ dryRun: true, matched: 1 })
  expect(await states()).toEqual({ open: 1, redriven: 0, closed: 0, dropped: 0 })

  const redriven = await call('POST', `${letters}/redrive`, { waitMs: 3_000 })
  expect(redriven.body).toMatchObject({ matched: 1, outcomes: { failed: 1 }, results: [{ id: letterId }] })
  expect(await states()).toEqual({ open: 1, redriven: 0, closed: 0, dropped: 0 })
  const { body } = await call('GET', `${letters}/causes`)
  expect(body['causes']).toMatchObject([{ letters: 1, reason: 'parse', example: letterId }])

  const dropped = await call('POST', `${letters}/drop`, { where: ['reason=parse'], reason: 'a test' })
  expect(dropped.body).toEqual({ matched: 1, dropped: [letterId] })
  expect(await states()).toEqual({ open: 0, redriven: 0, closed: 0, dropped: 1 })
  const audit = await call('GET', `/v1/audit?project=${projectId}&limit=3`)
  expect((audit.body['rows'] as { action: string }[]).map(({ action }) => action)).toEqual([
    'letters.drop',
    'letters.redriven',
    'letters.redrive'
  ])
})

it('plans a replay, has it read beside the live group, and tells where an event is', async () => {
  await using producer = await pipeline.kafka.producer()
  const value = Buffer.from(JSON.stringify({ eventId: 'e-1', eventType: 'view', receivedAt: new Date().toISOString() }))
  const [outcome] = await producer.produce(rawTopic(projectId), [{ partition: 0, key: 'e-1', value }])
  const end = outcome?.kind === 'acked' ? outcome.offset + 1n : 0n
  const isAtEnd = async (): Promise<boolean> =>
    (await pipeline.admin.groupOffsets(group, rawTopic(projectId))).get(0) === end
  await eventually('the processor is at the end', isAtEnd, { timeoutMs: 40_000, intervalMs: 100 })

  const wanted = { kind: 'process', group, from: { offsets: { 0: String(end - 1n) } } }
  const plan = await call('POST', `/v1/projects/${projectId}/replays/plan`, wanted)
  expect([plan.status, plan.body['records'], plan.body['refusals']]).toEqual([200, '1', []])
  const begun = await call('POST', `/v1/projects/${projectId}/replays`, { ...wanted, reason: 'test' })
  expect([begun.status, begun.body['state']]).toEqual([201, 'running'])
  const path = `/v1/replays/${String(begun.body['id'])}`
  const isDone = async (): Promise<boolean> => (await call('GET', path)).body['state'] === 'done'
  await eventually('the replay is done', isDone, { timeoutMs: 40_000, intervalMs: 100 })
  expect((await call('POST', `${path}/abort`)).status).toBe(409)
  expect((await call('POST', '/v1/projects/nobody-has-this/replays/plan', wanted)).status).toBe(404)

  const trail = await call('GET', `/v1/events/e-1/trail?project=${projectId}`)
  expect(trail.body).toMatchObject({
    foundBy: 'log',
    eventType: 'view',
    place: { partition: 0, offset: String(end - 1n) }
  })
  const never = await call('GET', `/v1/events/never/trail?project=${projectId}`)
  expect([never.status, never.body['place']]).toEqual([200, null])
})

/** The live state of the project as the aggregator would make it. */
async function makeLiveState(): Promise<void> {
  const log = createSilentLogger()
  const { DATABASE_URL: url, REDIS_STATE_URL } = testEndpoints()
  await using postgres = await openPostgres({ url, poolSize: 1, log, name: 'test' })
  await using redis = await openRedis({ url: REDIS_STATE_URL, role: 'state', log, requirePolicy: 'now' })
  const stores = { postgres, epochs: createRedisEpochs(redis), admin: pipeline.admin }
  const rest = { clock: systemClock, timing: liveTiming, group: `${group}-live`, actor: 'test', log }
  await createEpochKeeper({ ...stores, ...rest })(projectId)
}

it('builds the live state anew as a replay, and tells when it is in force', async () => {
  const replays = `/v1/projects/${projectId}/replays`
  const epochs = `/v1/projects/${projectId}/epochs`
  const none = await call('POST', replays, { kind: 'aggregate' })
  expect([none.status, none.body['detail']]).toEqual([409, expect.stringContaining('there is no live state')])
  await makeLiveState()
  const byOffset = await call('POST', replays, { kind: 'aggregate', from: { offset: '1' } })
  expect([byOffset.status, byOffset.body['detail']]).toEqual([409, expect.stringContaining('begins at a time')])
  expect((await call('POST', replays, { kind: 'aggregate', perSecond: 5 })).status).toBe(422)
  const plan = await call('POST', `${replays}/plan`, { kind: 'aggregate' })
  expect(plan.body).toMatchObject({ effect: 'epoch', refusals: [] })

  const begun = await call('POST', replays, { kind: 'aggregate' })
  expect([begun.status, begun.body]).toMatchObject([201, { projectId, epoch: 2, state: 'building' }])
  const isInForce = async (): Promise<boolean> => {
    const { body } = await call('GET', epochs)
    return (body['build'] as { state: string }).state === 'in-force'
  }
  await eventually('the epoch is in force', isInForce, { timeoutMs: 30_000, intervalMs: 100 })
  expect((await call('GET', epochs)).body['epochs']).toMatchObject([
    { epoch: 1, inForce: false },
    { epoch: 2, inForce: true, state: 'live' }
  ])
  for (const what of ['resume', 'abort']) expect((await call('POST', `${epochs}/${what}`)).status).toBe(404)
})
