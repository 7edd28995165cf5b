// A batch of any length against the reducer: whatever was counted before and whatever is lost meanwhile, each id counts
// once and the position ends behind the range.
import { describe, expect, it } from 'vitest'
import type { EventRow } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { itemOf, rowOf } from '../test/rows.ts'
import { apply } from './apply.ts'
import type { ApplyCall } from './apply.ts'
import { createBatchApplier } from './apply-batch.ts'
import type { Applied, BatchApplierDeps } from './apply-batch.ts'
import { initEpoch, seal } from './epochs.ts'
import { builtInMetrics } from './metrics.ts'
import type { RedisApplyReply } from './redis-apply.ts'
import { emptyProject, withEpoch } from './state.ts'
import type { ProjectState } from './state.ts'
import { liveTiming } from './timing.ts'

const startMs = Date.UTC(2026, 5, 1, 10)
const options = { timing: liveTiming, metrics: builtInMetrics([]), conversionTypes: new Set<string>() }
const name = `events:1h:${startMs}`

function open(deps: Partial<BatchApplierDeps> = {}) {
  let state = initEpoch(emptyProject, 1, { state: 'live', startOffsets: [0n], completeFromMs: 0 }).project
  const calls: ApplyCall[] = []
  const applied: Applied[] = []
  const answers: (RedisApplyReply | Error | undefined)[] = []
  const applier = createBatchApplier({
    apply: async (_project, call) => {
      calls.push(call)
      const planned = answers.shift()
      if (planned instanceof Error) throw planned
      if (planned !== undefined) return planned
      const step = apply(state, call)
      state = step.project
      return step.reply
    },
    callId: () => `call-${calls.length}`,
    onApplied: (each) => applied.push(each),
    ...deps
  })
  const rangeOf = (from: number, rows: readonly EventRow[]) => ({
    epoch: 1,
    partition: 0,
    from: BigInt(from),
    to: BigInt(from + rows.length),
    appendedAtMs: rows.at(-1)?.appendedAt ?? -1,
    expired: 0
  })
  return {
    applier,
    calls,
    applied,
    answers,
    get state(): ProjectState {
      return state
    },
    set state(next: ProjectState) {
      state = next
    },
    total: () => state.epochs.get(1)?.windows.get(name)?.values.get('')?.count ?? 0,
    position: () => state.epochs.get(1)?.partitions[0]?.position,
    /** Applies events with these ids at the offsets from `from` on. */
    send: (ids: readonly string[], from: number, change: Partial<EventRow> = {}) => {
      const rows = ids.map((eventId, index) =>
        rowOf({ eventId, timestamp: startMs + index, offset: BigInt(from + index), ...change })
      )
      const items = rows.map((row) => itemOf(row))
      return applier.apply('p', rangeOf(from, rows), items, options)
    }
  }
}

const ids = (first: number, count: number): string[] => Array.from({ length: count }, (_, index) => `e${first + index}`)
const ok = { kind: 'ok' }

describe('a batch', () => {
  it('takes one call when nothing is a copy, and tells what it added', async () => {
    const world = open()
    expect(await world.send([...ids(0, 3), 'e0'], 0)).toEqual(ok)
    expect(world.calls).toHaveLength(1)
    expect(world.applied).toMatchObject([{ events: 3, duplicates: 1, late: 0, closed: 0, calls: 1, partition: 0 }])
    expect([world.total(), world.position()]).toEqual([3, 4n])
  })

  it('leaves out copies of earlier batches without asking twice', async () => {
    const world = open()
    await world.send(ids(0, 3), 0)
    expect(await world.send(['e1', 'e9'], 3)).toEqual(ok)
    expect(world.calls).toHaveLength(2)
    expect(world.calls[1]?.leftOut).toHaveLength(1)
    expect(world.applied[1]).toMatchObject({ events: 1, duplicates: 1, calls: 1 })
    expect([world.total(), world.position()]).toEqual([4, 5n])
  })

  it('folds again without copies that only Redis knows of', async () => {
    const world = open()
    await world.send(ids(0, 3), 0)
    world.applier.forget()
    expect(await world.send(['e1', 'e9'], 3)).toEqual(ok)
    expect(world.calls).toHaveLength(3)
    expect(world.applied[1]).toMatchObject({ events: 1, duplicates: 1, calls: 2 })
    expect([world.total(), world.position()]).toEqual([4, 5n])
  })

  it('counts an id that it remembers and Redis has lost', async () => {
    const world = open()
    await world.send(ids(0, 1), 0)
    const before = world.state
    await world.send(ids(1, 2), 1)
    world.state = before
    expect(await world.send(['e2', 'e3'], 1)).toEqual(ok)
    expect(world.calls.at(-1)?.leftOut).toEqual([])
    expect([world.total(), world.position()]).toEqual([3, 3n])
  })

  it('is cut behind its items, with their append times as fingerprints', async () => {
    const world = open({ maxEvents: 2 })
    expect(await world.send(ids(0, 5), 0)).toEqual(ok)
    const parts = world.calls.map(({ from, to, appendedAtMs, hours }) => [from, to, appendedAtMs, hours[0]?.ids.length])
    expect(parts).toEqual([
      [0n, 2n, startMs + 1_001, 2],
      [2n, 4n, startMs + 1_003, 2],
      [4n, 5n, startMs + 1_004, 1]
    ])
    expect(world.total()).toBe(5)
  })

  it('goes on behind the parts that were applied when it is repeated after a failure', async () => {
    const world = open({ maxEvents: 2 })
    world.answers.push(undefined, new AppError('PIPE_REDIS_UNAVAILABLE', 'no reply'))
    await expect(world.send(ids(0, 5), 0)).rejects.toThrow('no reply')
    expect(world.position()).toBe(2n)
    expect(await world.send(ids(0, 5), 0)).toEqual(ok)
    expect([world.total(), world.position()]).toEqual([5, 5n])
    expect(world.applied.map(({ events }) => events)).toEqual([2, 2, 1])
  })

  it('counts offsets that retention took once', async () => {
    const world = open({ maxEvents: 1 })
    const rows = [5, 6].map((at) => rowOf({ eventId: `e${at}`, timestamp: startMs, offset: BigInt(at) }))
    const range = { epoch: 1, partition: 0, from: 0n, to: 7n, appendedAtMs: startMs + 1_000, expired: 5 }
    const items = rows.map((row) => itemOf(row))
    expect(await world.applier.apply('p', range, items, options)).toEqual(ok)
    expect(world.state.epochs.get(1)?.counts.expired).toBe(5)
    expect(world.position()).toBe(7n)
  })

  it('moves the position over a range without events', async () => {
    const world = open()
    const range = { epoch: 1, partition: 0, from: 0n, to: 3n, appendedAtMs: startMs, expired: 0 }
    expect(await world.applier.apply('p', range, [], options)).toEqual(ok)
    expect(world.position()).toBe(3n)
  })
})

describe('a batch that may not be applied', () => {
  it('names the position when another range was applied', async () => {
    const world = open()
    await world.send(ids(0, 4), 0)
    expect(await world.send(ids(0, 2), 0)).toEqual({ kind: 'gap', position: 4n })
    expect(await world.send(ids(6, 2), 6)).toEqual({ kind: 'gap', position: 4n })
    expect(await world.send(ids(0, 4), 0)).toEqual(ok)
    expect(world.total()).toBe(4)
  })

  it('waits for nobody itself: a sealed, replaced or torn epoch is the answer', async () => {
    const world = open()
    world.state = seal(world.state).project
    expect(await world.send(ids(0, 1), 0)).toEqual({ kind: 'sealed' })
    world.state = { ...world.state, pointer: 2 }
    expect(await world.send(ids(0, 1), 0)).toEqual({ kind: 'epoch' })
    const epoch = world.state.epochs.get(1)
    world.state =
      epoch === undefined ? world.state : withEpoch({ ...world.state, pointer: 1 }, 1, { ...epoch, torn: 'x' })
    expect(await world.send(ids(0, 1), 0)).toEqual({ kind: 'broken', torn: 'x' })
    expect(world.total()).toBe(0)
  })

  it('gives its range up when Redis never agrees', async () => {
    const world = open()
    for (let index = 0; index < 60; index++) world.answers.push({ kind: 'refold' })
    expect(await world.send(ids(0, 1), 0)).toEqual({ kind: 'gap', position: 0n })
    expect(world.calls).toHaveLength(50)
  })
})

describe('events of deleted hours', () => {
  it('are counted closed, and their day is queued before they are left out', async () => {
    const order: unknown[] = []
    const world = open({ queueDays: async (project, days) => void order.push([project, days, world.position()]) })
    const epoch = world.state.epochs.get(1)
    if (epoch !== undefined) world.state = withEpoch(world.state, 1, { ...epoch, deletedThrough: startMs / 3_600_000 })
    expect(await world.send(['e0'], 0)).toEqual(ok)
    expect(order).toEqual([['p', [Date.UTC(2026, 5, 1)], 0n]])
    expect(world.applied).toMatchObject([{ events: 0, closed: 1, duplicates: 0 }])
  })
})
