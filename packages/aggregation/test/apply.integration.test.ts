// The script against the reducer: random histories of several consumers with stale ranges, rollbacks, closings, seals
// and deleted hours; every reply and every key must be equal.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { createRandom } from '@millrace/testkit/random'
import type { Random } from '@millrace/testkit/random'
import { uniqueProject } from '@millrace/testkit/unique'
import { apply } from '../src/apply.ts'
import { close, remove } from '../src/close.ts'
import { initEpoch, seal, unseal } from '../src/epochs.ts'
import { digestOf, noRefusals } from '../src/fold.ts'
import { stateKeys } from '../src/keys.ts'
import { createRedisApply } from '../src/redis-apply.ts'
import type { RedisApply } from '../src/redis-apply.ts'
import { emptyProject, partitionOf } from '../src/state.ts'
import type { ProjectState } from '../src/state.ts'
import { liveTiming } from '../src/timing.ts'
import { callOf, handAfter, makeLog, startMs } from './random-log.ts'
import type { Hand } from './random-log.ts'
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

const sortedIds = (reply: object): object =>
  'ids' in reply ? { ...reply, ids: [...(reply.ids as string[])].sort() } : reply

describe('the apply script', () => {
  it('answers and leaves what the reducer does, over random histories', async () => {
    const seen = new Map<string, number>()
    for (let seed = 1; seed <= 10; seed++) await runHistory(seed, seen)
    for (const kind of ['ok', 'gap', 'done', 'duplicate', 'refold', 'sealed', 'epoch', 'broken']) {
      expect({ kind, count: seen.get(kind) ?? 0 }).toEqual({
        kind,
        count: expect.toSatisfy((count: number) => count > 0)
      })
    }
  })

  async function runHistory(seed: number, seen: Map<string, number>): Promise<void> {
    const random = createRandom(`apply ${seed}`)
    const project = newProject('apply')
    const logs = makeLog(random, 3, 200)
    const row = { state: 'live', startOffsets: [], completeFromMs: startMs } as const
    let state = initEpoch(emptyProject, 1, row).project
    let snapshot = state
    const hands = Array.from({ length: 9 }, (): Hand => ({ from: 0, to: 0, refusals: noRefusals }))
    await writePlain(redis, project, state)
    const check = async (turn: number): Promise<void> => {
      const [held, wanted] = [await readPlain(redis, project), await toPlain(redis, project, state)]
      expect({ seed, turn, ...normal(held, 1) }).toEqual({ seed, turn, ...normal(wanted, 1) })
    }
    for (let turn = 0; turn < 160; turn++) {
      const index = random.below(hands.length)
      const partition = index % 3
      let hand = hands[index] ?? expect.fail('no hand')
      const end = logs[partition]?.length ?? 0
      if (hand.to === hand.from) {
        // Nothing in hand and nothing left: it looks where the position is.
        const epoch = state.epochs.get(1) ?? expect.fail('no epoch')
        if (hand.from >= end) hand = handAfter(hand, { kind: 'gap', position: partitionOf(epoch, partition).position })
        hand = { ...hand, to: Math.min(end, hand.from + 1 + random.below(20)) }
        if (random.chance(0.3)) {
          hands[index] = hand
          continue
        }
      }
      const made = callOf(logs, partition, hand)
      const call = random.chance(0.03) ? { ...made, epoch: 2 } : made
      const step = apply(state, call)
      const reply = await applyOn(project, call, `c${turn}`)
      expect({ seed, turn, reply: sortedIds(reply) }).toEqual({ seed, turn, reply: sortedIds(step.reply) })
      seen.set(reply.kind, (seen.get(reply.kind) ?? 0) + 1)
      state = step.project
      hands[index] = handAfter(hand, step.reply)
      if (turn % 20 === 0) await check(turn)
      const forgets = reply.kind === 'duplicate' && random.chance(0.2)
      const changed = forgets ? withoutSeen(state) : disturb(random, state, snapshot)
      if (changed === undefined) continue
      if (changed === 'snapshot') snapshot = state
      else {
        state = changed
        await writePlain(redis, project, state)
      }
    }
    await check(-1)
    await clear(redis, project)
  }

  /** Another script or a fault between two calls; the state that it leaves. */
  function disturb(random: Random, state: ProjectState, snapshot: ProjectState): ProjectState | 'snapshot' | undefined {
    const epoch = state.epochs.get(1)
    if (epoch === undefined) return undefined
    // A seal and a torn marker do not stay: the history goes on.
    if (epoch.torn !== undefined) return { ...state, epochs: new Map([[1, { ...epoch, torn: undefined }]]) }
    if (epoch.stage === 'sealing') return unseal(state)
    const topic = { epoch: 1, partitions: 3, countedAtMs: Infinity, limit: Infinity }
    if (random.chance(0.03)) return 'snapshot'
    if (random.chance(0.03)) return snapshot
    if (random.chance(0.02)) return seal(state).project
    if (random.chance(0.02)) return { ...state, epochs: new Map([[1, { ...epoch, torn: '0-9 c0' }]]) }
    if (random.chance(0.05)) return close(state, topic, liveTiming).project
    if (random.chance(0.03)) return remove(state, topic, liveTiming).project
    return undefined
  }

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

/** As after a rollback of the partition that the ids came from. */
function withoutSeen(state: ProjectState): ProjectState {
  const epochs = [...state.epochs].map(([number, epoch]) => [number, { ...epoch, seen: new Map() }] as const)
  return { ...state, epochs: new Map(epochs) }
}
