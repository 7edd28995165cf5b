// The apply script where histories do not reach: failing in the middle, keys of a wrong type, and the largest call.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { uniqueProject } from '@millrace/testkit/unique'
import { apply } from '../src/apply.ts'
import { initEpoch } from '../src/epochs.ts'
import { digestOf, noRefusals } from '../src/fold.ts'
import { stateKeys } from '../src/keys.ts'
import { createRedisApply } from '../src/redis-apply.ts'
import type { RedisApply } from '../src/redis-apply.ts'
import { emptyProject } from '../src/state.ts'
import { callOf, startMs } from './random-log.ts'
import { clear, normal, readPlain, toPlain, writePlain } from './redis-state.ts'
import { rowOf } from './rows.ts'

const stack = new AsyncDisposableStack()
let redis: Redis
let applyOn: RedisApply
const projects: string[] = []

/** A new project whose keys are deleted at the end. */
function newProject(prefix: string): string {
  const project = uniqueProject(prefix)
  projects.push(project)
  return project
}

beforeAll(async () => {
  const { REDIS_STATE_URL: url } = testEndpoints()
  const log = createSilentLogger()
  redis = stack.use(await openRedis({ url, role: 'state', log, requirePolicy: 'now', commandTimeoutMs: 5_000 }))
  applyOn = createRedisApply(redis)
})
afterAll(async () => {
  for (const project of projects) await clear(redis, project)
  await stack.disposeAsync()
})

describe('the apply script', () => {
  it('leaves the marker when it fails in the middle, and takes nothing more', async () => {
    const project = newProject('torn')
    const state = initEpoch(emptyProject, 1, { state: 'live', startOffsets: [], completeFromMs: 0 }).project
    await writePlain(redis, project, state)
    const keys = stateKeys(project, 1)
    const name = `events:1m:${startMs}`
    await redis.command('HSET', keys.window(name), 'n', '9223372036854775807')
    const logs = [[rowOf({ eventId: 'e', timestamp: startMs })]]
    const call = callOf(logs, 0, { from: 0, to: 1, refusals: noRefusals })
    await expect(applyOn(project, call, 'call-1')).rejects.toMatchObject({ code: 'PIPE_REDIS_REFUSED' })
    expect(await applyOn(project, call, 'call-2')).toEqual({ kind: 'broken', torn: '0-1 call-1' })
    expect(await redis.command('HGET', keys.positions, 'p0')).toBeNull()
    expect(await redis.command('SMEMBERS', keys.seen(startMs / 3_600_000))).toEqual([digestOf('e')])
  })

  it.each([
    ['a seen hour', (project: string) => stateKeys(project, 1).seen(startMs / 3_600_000)],
    ['a window', (project: string) => stateKeys(project, 1).window(`events:1h:${startMs}`)],
    ['a HyperLogLog', (project: string) => stateKeys(project, 1).unique(`active_users:1m:${startMs}`, '')],
    ['a session', (project: string) => stateKeys(project, 1).session('s')],
    ['an index', (project: string) => stateKeys(project, 1).dirty]
  ])('writes nothing when %s is something else', async (_what, keyOf) => {
    const project = newProject('type')
    await writePlain(
      redis,
      project,
      initEpoch(emptyProject, 1, { state: 'live', startOffsets: [], completeFromMs: 0 }).project
    )
    await redis.command('SET', keyOf(project), 'text')
    const before = await namesAndMeta(project)
    const logs = [[rowOf({ eventId: 'e', timestamp: startMs, userId: 'u', sessionId: 's' })]]
    const reply = await applyOn(project, callOf(logs, 0, { from: 0, to: 1, refusals: noRefusals }), 'c')
    expect(reply.kind).toBe('wrong-type')
    expect(await namesAndMeta(project)).toEqual(before)
  })

  async function namesAndMeta(project: string): Promise<unknown> {
    const { meta, positions } = stateKeys(project, 1)
    const names = (await redis.command('KEYS', `*{${project}}*`)) as string[]
    return [names.sort(), await redis.command('HGETALL', meta), await redis.command('HGETALL', positions)]
  }

  it('takes 5,000 ids at once, with as many dimensions, users and sessions', async () => {
    const project = newProject('large')
    let state = initEpoch(emptyProject, 1, { state: 'live', startOffsets: [], completeFromMs: 0 }).project
    await writePlain(redis, project, state)
    const rows = Array.from({ length: 5_000 }, (_, index) =>
      rowOf({
        eventId: `e${index}`,
        timestamp: startMs,
        userId: `u${index}`,
        sessionId: `s${index}`,
        path: `/${index}`
      })
    )
    const call = callOf([rows], 0, { from: 0, to: 5_000, refusals: noRefusals })
    const step = apply(state, call)
    expect(await applyOn(project, call, 'c')).toEqual({ kind: 'ok' })
    state = step.project
    const [held, wanted] = [await readPlain(redis, project), await toPlain(redis, project, state)]
    expect(normal(held, 1)).toEqual(normal(wanted, 1))
    const again = await applyOn(project, { ...call, from: 5_000n, to: 10_000n }, 'c')
    expect(again.kind === 'duplicate' ? new Set(again.ids).size : again).toBe(5_000)
  })
})
