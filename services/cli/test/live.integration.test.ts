// Metrics and epochs through the tool, as a process with arguments, an exit code, and two streams.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import type { Admin } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { openPostgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics } from '@millrace/testkit/worker'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const bin = fileURLToPath(new URL('../bin/millrace.mjs', import.meta.url))
const endpoints = testEndpoints()
const dataDir = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
const stack = new AsyncDisposableStack()
const project = uniqueProject('cli-live')
const noProject = uniqueProject('cli-none')

interface Result {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

function millrace(...args: readonly string[]): Promise<Result> {
  const child = spawn(process.execPath, [bin, ...args, '--data-dir', dataDir], {
    env: { ...endpoints, PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const result = { out: '', error: '' }
  child.stdout.on('data', (data) => (result.out += String(data)))
  child.stderr.on('data', (data) => (result.error += String(data)))
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...result })))
}

beforeAll(async () => {
  const log = createSilentLogger()
  const kafka = stack.use(await openTestKafka())
  const admin: Admin = stack.use(await kafka.admin())
  await createProjectTopics(admin, project)
  const postgres = stack.use(await openPostgres({ url: endpoints.DATABASE_URL, poolSize: 1, log, name: 'test' }))
  await postgres.query('INSERT INTO projects (id, name) VALUES ($1, $1)', [project])
  const redis = stack.use(await openRedis({ url: endpoints.REDIS_STATE_URL, role: 'state', log, requirePolicy: 'now' }))
  await createRedisEpochs(redis).init(project, 1, { startOffsets: [0n, 0n, 0n, 0n], completeFromMs: 0 })
})
afterAll(async () => {
  await stack.disposeAsync()
  rmSync(dataDir, { recursive: true })
})

describe('metrics', () => {
  it('are defined, listed and read, and refused with the reason', async () => {
    const own = ['--project', project]
    const [defined, refused, nowhere] = await Promise.all([
      millrace('metrics', 'define', 'spend', '--measure', 'sum:price', '--by', 'country', '--json', ...own),
      millrace('metrics', 'define', 'spend', '--measure', 'median:price', ...own),
      millrace('metrics', 'get', 'nothing', '--from', '5m', ...own)
    ])
    expect(JSON.parse(defined.out)).toMatchObject({
      added: true,
      name: 'spend',
      version: 1,
      measure: { kind: 'sum', property: 'price' },
      dimensions: ['country'],
      cap: 50
    })
    expect([refused.code, refused.error]).toEqual([
      1,
      expect.stringContaining('measure is {"kind": "count"}') as string
    ])
    expect([nowhere.code, nowhere.error]).toEqual([1, `millrace: '${project}' has no metric 'nothing'\n`])
    const [listed, got, each] = await Promise.all([
      millrace('metrics', 'list', '--json', ...own),
      millrace('metrics', 'get', 'spend', '--from', '3h', '--json', ...own),
      millrace('metrics', 'get', 'spend', '--from', '3h', '--each', ...own)
    ])
    expect([each.code, each.out]).toEqual([0, expect.stringMatching(/^country +value +events +state\n\(all\) +0 +0/)])
    const names = (JSON.parse(listed.out) as { name: string }[]).map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['events', 'spend', 'bounce_rate', 'daily_active_users']))
    const answer = JSON.parse(got.out) as { source: string; data: object[] }
    expect(answer).toMatchObject({ metric: 'spend', granularity: '1h', source: 'warehouse' })
    expect(answer.data[0]).toMatchObject({
      value: 0,
      count: 0,
      timestamp: expect.stringMatching(/:00:00\.000Z$/) as string
    })
  })
})

describe('epochs', () => {
  it('are shown and planned, and what cannot be is an exit code', async () => {
    const [status, plan, none, abort] = await Promise.all([
      millrace('epoch', 'status', '--json', '--project', project),
      millrace('epoch', 'new', '--dry-run', '--json', '--project', project),
      millrace('epoch', 'status', '--project', noProject),
      millrace('epoch', 'abort', '--project', project)
    ])
    const [epoch] = (JSON.parse(status.out) as { epochs: object[] }).epochs
    expect([status.code, epoch]).toMatchObject([0, { epoch: 1, inForce: true, stage: 'live', torn: false, lag: '0' }])
    expect([plan.code, JSON.parse(plan.out)]).toMatchObject([0, { liveEpoch: 1, refusals: [], isOtherLog: false }])
    expect([none.code, none.error]).toEqual([1, expect.stringContaining('has no epoch') as string])
    expect([abort.code, abort.error]).toEqual([1, `millrace: no epoch of '${project}' is being built\n`])
  })
})
