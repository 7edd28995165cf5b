// Two cases of the suite `stream` in short form: what aggregators make of a log equals its recount, whoever reads it how
// often, and whatever becomes of Redis.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testEndpoints } from '../src/endpoints.ts'
import { backlogTiming, makeBacklog } from '../src/faults/stream/backlog.ts'
import { untilShare } from '../src/faults/stream/progress.ts'
import { openStreamRig } from '../src/faults/stream/rig.ts'
import type { StreamRig } from '../src/faults/stream/rig.ts'
import { openOwnRedis } from '../src/own-redis.ts'

const stack = new AsyncDisposableStack()
let rig: StreamRig

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-stream-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const redis = stack.use(await openOwnRedis(['--appendonly', 'yes']))
  const context = { stack: { endpoints: testEndpoints() }, folder, planted: undefined, seed: 1, say: () => undefined }
  rig = stack.use(await openStreamRig(context, backlogTiming, redis.url))
})
afterAll(() => stack.disposeAsync())

const minuteMs = 60_000

describe('live windows and sessions', () => {
  it('equal a recount when two that believe they own everything read copies and late records of an hour', async () => {
    const project = await rig.project({ partitions: 4, written: true })
    const { copies, closedAtMs } = makeBacklog(rig.random, { run: 'i', sessions: 120, sinceMs: 60 * minuteMs })
    await project.write(copies)
    const aggregators = await rig.start([project], { count: 2, groups: 'own', env: { BATCH_SIZE: '50' } })
    await rig.settled([project], { clockMs: closedAtMs })
    const { verdict, compared, evidence } = await rig.judge([project])
    expect(verdict.violations).toEqual([])
    expect(compared[0]?.closedWindows).toBeGreaterThan(100)
    expect(compared[0]?.closedSessions).toBeGreaterThan(80)
    expect(evidence[0]?.recount.counts.late).toBeGreaterThan(0)
    await Promise.all(aggregators.map((service) => service.stop()))
  })

  it('equal a recount after Redis forgot everything in the middle', async () => {
    const project = await rig.project({ partitions: 2, written: true })
    const { copies, closedAtMs } = makeBacklog(rig.random, { run: 'j', sessions: 80, sinceMs: 20 * minuteMs })
    await project.write(copies)
    await rig.start([project], {
      count: 1,
      env: { BATCH_SIZE: '30', MILLRACE_FAULTS: 'aggregator.before-apply:delay:60' }
    })
    await untilShare(rig, project, 0.5)
    await rig.redis.command('FLUSHALL')
    await rig.settled([project], { clockMs: closedAtMs })
    const { verdict, compared } = await rig.judge([project])
    expect(verdict.violations).toEqual([])
    expect(compared[0]?.closedSessions).toBeGreaterThan(50)
  })
})
