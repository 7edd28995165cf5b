// The live state over a failover: the replica that becomes master has not seen the last batches, so positions go back.
// The consumer reads on from there, and what is left must be what the whole log leaves.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EventRow } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { openOwnSentinel } from '@millrace/testkit/own-sentinel'
import type { OwnSentinel } from '@millrace/testkit/own-sentinel'
import { apply } from '../src/apply.ts'
import { initEpoch } from '../src/epochs.ts'
import { noRefusals } from '../src/fold.ts'
import { createRedisApply } from '../src/redis-apply.ts'
import type { RedisApplyReply } from '../src/redis-apply.ts'
import { createRedisEpochs } from '../src/redis-epochs.ts'
import { emptyProject } from '../src/state.ts'
import type { ProjectState } from '../src/state.ts'
import { createWindowReader, windowNames } from '../src/window-reader.ts'
import { callOf, handAfter, startMs } from './random-log.ts'
import type { Hand } from './random-log.ts'
import { normal, readPlain, toPlain } from './redis-state.ts'
import { rowOf } from './rows.ts'

const stack = new AsyncDisposableStack()
const project = 'failed-over'
const first = { startOffsets: [0n, 0n], completeFromMs: startMs, state: 'live' } as const
let sentinel: OwnSentinel
let redis: Redis
let reading: Redis

beforeAll(async () => {
  sentinel = stack.use(await openOwnSentinel(['--appendonly', 'yes']))
  const options = { url: sentinel.url, role: 'state', log: createSilentLogger(), commandTimeoutMs: 300 } as const
  redis = stack.use(await openRedis({ ...options, requirePolicy: 'now' }))
  const url = `${sentinel.url}?replicas=true`
  reading = stack.use(await openRedis({ ...options, url, requirePolicy: 'now' }))
})
afterAll(() => stack.disposeAsync())

/** Two partitions; every fifth event is a copy of one before on the same partition. */
const logs: EventRow[][] = [0, 1].map((partition) =>
  Array.from({ length: 400 }, (_, at) => {
    const number = at % 5 === 4 ? at - 3 : at
    return rowOf({
      eventId: `e${partition}-${number}`,
      timestamp: startMs + number * 2_000,
      appendedAt: startMs + at * 2_000 + 1_000,
      sessionId: `s${partition}-${number % 17}`,
      userId: `u${number % 40}`,
      partition,
      offset: BigInt(at)
    })
  })
)

/** What the whole log leaves, whatever happened on the way. */
function recount(): ProjectState {
  let state = initEpoch(emptyProject, 1, first).project
  for (const [partition, rows] of logs.entries()) {
    let hand: Hand = { from: 0, to: rows.length, refusals: noRefusals }
    while (hand.from < rows.length) {
      const step = apply(state, callOf(logs, partition, hand))
      state = step.project
      hand = handAfter(hand, step.reply)
    }
  }
  return state
}

describe('the live state behind a sentinel', () => {
  it('equals the recount after a failover that lost the last batches', async () => {
    const applyOn = createRedisApply(redis)
    expect(await createRedisEpochs(redis).init(project, 1, first)).toEqual({ kind: 'ok' })
    const hands: Hand[] = logs.map(() => ({ from: 0, to: 0, refusals: noRefusals }))
    const answers = new Map<string, number>()
    const count = (kind: string): void => void answers.set(kind, (answers.get(kind) ?? 0) + 1)
    const call = async (partition: number): Promise<RedisApplyReply | undefined> => {
      const hand = hands[partition] ?? expect.fail('no hand')
      if (hand.from === hand.to) hands[partition] = { ...hand, to: Math.min(400, hand.from + 10) }
      try {
        return await applyOn(project, callOf(logs, partition, hands[partition] ?? hand), 'call')
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'PIPE_REDIS_UNAVAILABLE') throw error
        count('away')
        await sleep(20)
        return undefined
      }
    }
    const work = async (isDone: () => boolean): Promise<void> => {
      for (let turn = 0; !isDone(); turn++) {
        const partition = turn % logs.length
        if (hands[partition]?.from === 400) continue
        const reply = await call(partition)
        if (reply === undefined) continue
        count(reply.kind)
        const hand = hands[partition] ?? expect.fail('no hand')
        hands[partition] = handAfter(hand, reply as Parameters<typeof handAfter>[1])
      }
    }
    const reached = (position: number) => () => hands.every(({ from }) => from >= position)
    await work(reached(100))
    await redis.command('WAIT', 1, 2_000)
    expect(await reading.command('CONFIG', 'GET', 'port')).toContain(String(sentinel.replica.port))
    const names = windowNames('events', '1m', { fromMs: startMs, toMs: startMs + 600_000 })
    const atMaster = await createWindowReader(redis).read(project, names)
    expect([...atMaster.windows.values()].reduce((sum, { events }) => sum + events, 0)).toBeGreaterThan(100)
    expect(await createWindowReader(reading).read(project, names)).toEqual(atMaster)
    // What a frozen replica had been sent would wait for it in its socket.
    sentinel.replica.pause()
    await redis.command('CLIENT', 'KILL', 'TYPE', 'replica')
    await work(reached(160))
    sentinel.master.kill()
    sentinel.replica.resume()
    await Promise.all([sentinel.failedOver(), work(reached(400))])
    expect(answers.get('gap')).toBeGreaterThanOrEqual(2)
    expect(answers.get('away')).toBeGreaterThan(0)
    expect(answers.get('broken')).toBeUndefined()
    const found = await readPlain(sentinel.replicaClient, project)
    const expected = await toPlain(sentinel.replicaClient, project, recount())
    expect(normal(found, 1)).toEqual(normal(expected, 1))
  })
})
