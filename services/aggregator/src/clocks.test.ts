import { describe, expect, it } from 'vitest'
import type { ApplyCall } from '@millrace/aggregation/apply'
import type { TopicCount } from '@millrace/aggregation/close'
import { createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry } from '@millrace/observability'
import { assigned, openHeld } from '../test/held.ts'
import { createClocks } from './clocks.ts'
import { aggregatorMetrics } from './metrics.ts'

const startMs = 1_000_000

/** A project of two partitions that end at 10 and 20; `positions` are where this process stands in them. */
async function open(positions: readonly bigint[], options: { replicas?: number; starts?: readonly bigint[] } = {}) {
  const { replicas = 1, starts = [0n, 0n] } = options
  const clock = createManualClock(startMs)
  const world = openHeld(positions)
  await world.projects.startAt(assigned(...positions.keys()))
  const calls: ApplyCall[] = []
  const closed: TopicCount[] = []
  const removed: TopicCount[] = []
  const asked = { ranges: 0, topics: 0 }
  const due = { is: true, changed: [0] }
  const tick = createClocks({
    admin: {
      ranges: async (topic) => {
        asked.ranges++
        await clock.advance(700)
        return [10n, 20n].map((end, partition) => ({ topic, partition, start: starts[partition] ?? 0n, end }))
      },
      describeTopics: async ([topic = '']) => {
        asked.topics++
        return [{ topic, partitions: 2, replicationFactor: replicas, config: {} }]
      }
    },
    apply: async (_project, call) => {
      calls.push(call)
      return { kind: 'ok' }
    },
    close: {
      close: async (_project, topic) => {
        closed.push(topic)
        return { kind: 'ok', changed: due.changed.shift() ?? 0 }
      },
      remove: async (_project, topic) => {
        removed.push(topic)
        return { kind: 'ok', changed: 0 }
      }
    },
    isDue: async () => due.is,
    callId: () => 'c',
    clock,
    metrics: bindMetrics(aggregatorMetrics, createRegistry()),
    faults: { at: () => undefined },
    marginMs: 100,
    replicaLagMs: 5_000,
    countEveryMs: 2_000
  })
  return { clock, world, calls, closed, removed, asked, due, tick: () => tick(world.live()) }
}

describe('the clock of a partition', () => {
  it('moves to the time before the request, less the margin, when the position is the end', async () => {
    const { calls, tick } = await open([10n, 19n])
    await tick()
    expect(calls).toMatchObject([
      { partition: 0, from: 10n, to: 10n, clockMs: startMs - 100, appendedAtMs: -1, expired: 0 }
    ])
  })

  it('is taken back by what a replica may lag behind', async () => {
    const { calls, tick } = await open([10n, 20n], { replicas: 3 })
    await tick()
    expect(calls.map(({ clockMs }) => clockMs)).toEqual([startMs - 5_100, startMs - 5_100])
  })

  it('is left to the batch that is on its way', async () => {
    const { world, calls, tick } = await open([10n])
    const owned = world.live().owned.get(0)
    if (owned !== undefined) owned.busy = true
    await tick()
    expect(calls).toEqual([])
  })

  it('waits for the hole that retention left to be passed, and passes it when nothing is behind', async () => {
    const { calls, tick } = await open([4n, 3n], { starts: [10n, 7n] })
    await tick()
    expect(calls).toMatchObject([{ partition: 0, from: 4n, to: 10n, expired: 6, clockMs: -1 }])
  })

  it('rests while nothing is due, but not for long', async () => {
    const { clock, asked, due, tick } = await open([10n])
    await tick()
    due.is = false
    await tick()
    await clock.advance(5_000)
    await tick()
    expect(asked.ranges).toBe(1)
    await clock.advance(5_000)
    await tick()
    expect(asked.ranges).toBe(2)
  })

  it('stands still while the project is halted', async () => {
    const { world, calls, asked, tick } = await open([10n])
    world.projects.halt(world.live(), 'torn', 'x')
    await tick()
    expect([calls, asked.ranges]).toEqual([[], 0])
  })
})

describe('closing', () => {
  it('is of the owner of partition 0, by a count that was asked for before its time', async () => {
    const { closed, removed, asked, tick } = await open([10n])
    await tick()
    expect(closed).toEqual([{ epoch: 1, partitions: 2, countedAtMs: startMs - 100, limit: 500 }])
    expect(removed).toEqual(closed)
    await tick()
    expect(asked.topics).toBe(1)
    expect(closed[1]?.countedAtMs).toBe(startMs - 100)
    await tick()
    await tick()
    expect(asked.topics).toBe(2)
    expect(closed[3]?.countedAtMs).toBe(startMs + 2_100 - 100)
  })

  it('goes on while a call takes all that it may', async () => {
    const { closed, due, tick } = await open([10n])
    due.changed = [500, 500, 3]
    await tick()
    expect(closed).toHaveLength(3)
  })

  it('is not of others', async () => {
    const { world, closed, tick } = await open([10n, 20n])
    await world.projects.startAt(assigned(1))
    await tick()
    expect(closed).toEqual([])
  })
})
