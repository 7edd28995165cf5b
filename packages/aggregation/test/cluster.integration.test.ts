// The scripts of the live state on a Redis Cluster whose slot of the project moves from node to node while they work:
// what is left must be what the reducers leave.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { openOwnCluster } from '@millrace/testkit/own-cluster'
import type { OwnCluster } from '@millrace/testkit/own-cluster'
import { createRandom } from '@millrace/testkit/random'
import { apply } from '../src/apply.ts'
import { close, remove } from '../src/close.ts'
import { confirmWindow } from '../src/emit.ts'
import { initEpoch } from '../src/epochs.ts'
import { noRefusals } from '../src/fold.ts'
import { pointerKey } from '../src/keys.ts'
import { createRedisApply } from '../src/redis-apply.ts'
import { createRedisClose } from '../src/redis-close.ts'
import { createRedisEmit } from '../src/redis-emit.ts'
import { createRedisEpochs } from '../src/redis-epochs.ts'
import { emptyProject } from '../src/state.ts'
import type { ProjectState } from '../src/state.ts'
import { liveTiming } from '../src/timing.ts'
import { createWindowReader } from '../src/window-reader.ts'
import { callOf, handAfter, makeLog, startMs } from './random-log.ts'
import type { Hand } from './random-log.ts'
import { normal, readPlain, toPlain } from './redis-state.ts'

const stack = new AsyncDisposableStack()
const partitions = 3
let cluster: OwnCluster
let redis: Redis

beforeAll(async () => {
  cluster = stack.use(await openOwnCluster(['--appendonly', 'yes']))
  const options = { url: cluster.url, role: 'state', log: createSilentLogger(), commandTimeoutMs: 2_000 } as const
  redis = stack.use(await openRedis({ ...options, requirePolicy: 'now' }))
})
afterAll(() => stack.disposeAsync())

/** Calls again while Redis is away, as every worker does. */
async function persist<T>(call: () => Promise<T>, onWait: () => void): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'PIPE_REDIS_UNAVAILABLE') throw error
      onWait()
      await sleep(10)
    }
  }
}

/** Moves the slot of the project to the next node, a few keys at a time. */
async function moveSlot(project: string): Promise<void> {
  const to = ((await cluster.ownerOf(pointerKey(project))) + 1) % 3
  const move = await cluster.startMove(pointerKey(project), to)
  for (let left = 1; left > 0; left = await move.moveKeys(40)) await sleep(15)
  await sleep(15)
  await move.end()
}

/** Takes the whole log through every script; `between` is called after each round. Resolves with what must be there. */
async function work(project: string, onWait: () => void, between: (round: number) => void): Promise<ProjectState> {
  const [applyOn, clock] = [createRedisApply(redis), createRedisClose(redis, liveTiming)]
  const [emit, epochs, reader] = [createRedisEmit(redis), createRedisEpochs(redis), createWindowReader(redis)]
  const logs = makeLog(createRandom('cluster'), partitions, 600)
  const hands: Hand[] = logs.map(() => ({ from: 0, to: 0, refusals: noRefusals }))
  const first = { startOffsets: [0n, 0n, 0n], completeFromMs: startMs, state: 'live' } as const
  let state = initEpoch(emptyProject, 1, first).project
  expect(await persist(() => epochs.init(project, 1, first), onWait)).toEqual({ kind: 'ok' })
  for (let round = 0; hands.some(({ from }, partition) => from < (logs[partition]?.length ?? 0)); round++) {
    for (const [partition, held] of hands.entries()) {
      const isNew = held.from === held.to
      const hand = isNew ? { ...held, to: Math.min(logs[partition]?.length ?? 0, held.from + 10) } : held
      if (hand.from === hand.to) continue
      const call = callOf(logs, partition, hand)
      const step = apply(state, call)
      const reply = await persist(() => applyOn(project, call, `round ${round}`), onWait)
      expect(reply.kind).toBe(step.reply.kind)
      state = step.project
      hands[partition] = handAfter(hand, step.reply)
    }
    const countedAtMs = Math.min(...logs.map((rows, at) => rows[(hands[at]?.from ?? 0) - 1]?.appendedAt ?? startMs))
    const topic = { epoch: 1, partitions, countedAtMs, limit: 500 }
    state = close(state, topic, liveTiming).project
    expect(await persist(() => clock.close(project, topic, `close ${round}`), onWait)).toMatchObject({ kind: 'ok' })
    const dirty = await persist(() => emit.dirty(project, 1, 20), onWait)
    const names = dirty.kind === 'names' ? dirty.names : expect.fail(dirty.kind)
    const values = await persist(() => emit.windows(project, 1, names), onWait)
    const windows = values.kind === 'values' ? values.values : expect.fail(values.kind)
    await persist(() => emit.confirmWindows(project, 1, windows), onWait)
    for (const { name, revision } of windows) state = confirmWindow(state, { epoch: 1, name, revision }).project
    state = remove(state, topic, liveTiming).project
    await persist(() => clock.remove(project, topic), onWait)
    const read = await persist(() => reader.read(project, names), onWait)
    expect([...read.windows.keys()].every((name) => state.epochs.get(1)?.windows.has(name))).toBe(true)
    between(round)
  }
  return state
}

describe('the live state on a Redis Cluster', () => {
  it('is what the reducers leave, though its slot moves while they work', async () => {
    const project = 'moved'
    const owners = [await cluster.ownerOf(pointerKey(project))]
    let waits = 0
    let moves: Promise<void> = Promise.resolve()
    const between = (round: number): void => {
      if (round % 8 !== 4) return
      moves = moves
        .then(() => moveSlot(project))
        .then(async () => {
          owners.push(await cluster.ownerOf(pointerKey(project)))
        })
    }
    const state = await work(project, () => waits++, between)
    await moves
    expect(new Set(owners)).toEqual(new Set([0, 1, 2]))
    expect(waits).toBeGreaterThan(2)
    const owner = cluster.direct[owners.at(-1) ?? 0] ?? expect.fail('no owner')
    const found = await readPlain(owner, project)
    const expected = await toPlain(redis, project, state)
    expect(normal(found, 1)).toEqual(normal(expected, 1))
    const strays = await Promise.all(cluster.direct.map((node) => readPlain(node, project)))
    expect(strays.filter((keys) => Object.keys(keys).length > 0).length).toBe(1)
  })
})
