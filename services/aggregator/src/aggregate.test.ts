import { describe, expect, it } from 'vitest'
import type { BatchReply } from '@millrace/aggregation/apply-batch'
import { createToEntry } from '@millrace/aggregation/entry'
import type { FoldItem, FoldRange } from '@millrace/aggregation/fold'
import { liveTiming } from '@millrace/aggregation/timing'
import { enrich } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { bindMetrics, createRegistry } from '@millrace/observability'
import { assigned, openHeld, partitionAt } from '../test/held.ts'
import { createAggregate } from './aggregate.ts'
import { aggregatorMetrics } from './metrics.ts'

const options = { timing: liveTiming, metrics: [], conversionTypes: new Set<string>() }

async function open(reply: BatchReply | Error) {
  const world = openHeld([3n, 0n])
  await world.projects.startAt(assigned(0))
  const calls: { range: FoldRange; items: readonly FoldItem[] }[] = []
  let forgotten = 0
  const aggregate = createAggregate({
    projects: world.projects,
    applier: {
      apply: async (_project, range, items) => {
        calls.push({ range, items })
        if (reply instanceof Error) throw reply
        return reply
      },
      forget: () => void forgotten++
    },
    optionsOf: () => options,
    metrics: bindMetrics(aggregatorMetrics, createRegistry()),
    faults: { at: () => undefined }
  })
  const run = (offsets: readonly (number | 'garbage')[] = [5, 6], from = 3n) => aggregate({ ...batchOf(offsets, from) })
  return { world, calls, run, forgotten: () => forgotten }
}

/** Events at these offsets, counted on from the first where one is no event. */
function batchOf(offsets: readonly (number | 'garbage')[], from: bigint) {
  const toEntry = createToEntry(enrich)
  const items = offsets.map((offset, index) => {
    const at = offset === 'garbage' ? Number(offsets[0]) + index : offset
    const text = offset === 'garbage' ? 'no JSON' : JSON.stringify({ eventId: `e${at}`, eventType: 'view' })
    const record = { topic: 'events.p', partition: 0, offset: BigInt(at), key: null, headers: {}, redriven: false }
    const decoded = toEntry({ ...record, value: Buffer.from(text), appendedAtMs: 1_000 + at })
    if (decoded.kind !== 'item') throw new Error('not an item')
    return decoded.item
  })
  const to = (items.at(-1)?.offset ?? from) + 1n
  return { items, ranges: [{ topic: 'events.p', partition: 0, from, to, start: 0, count: items.length }] }
}

describe('a batch', () => {
  it('is applied as one range: its hole in front is counted, what is no event is passed over', async () => {
    const { world, calls, run } = await open({ kind: 'ok' })
    expect(await run([5, 6, 'garbage'])).toEqual([
      { kind: 'done' },
      { kind: 'done' },
      { kind: 'skip', reason: 'invalid' }
    ])
    expect(calls[0]?.range).toEqual({ epoch: 1, partition: 0, from: 3n, to: 8n, appendedAtMs: 1_007, expired: 2 })
    expect(calls[0]?.items.map(({ row }) => row.eventId)).toEqual(['e5', 'e6'])
    expect(world.live().owned.get(0)).toMatchObject({ position: 8n, busy: false })
  })

  it.each([{ kind: 'gap', position: 1n }, { kind: 'epoch' }] as const)(
    'reads on from the position in Redis after $kind',
    async (reply) => {
      const { world, run, forgotten } = await open(reply)
      world.state = { ...world.state, epoch: 2, partitions: [partitionAt(1n)] }
      expect(await run()).toEqual({ kind: 'rewind', to: [{ topic: 'events.p', partition: 0, offset: 1n }] })
      expect(world.live()).toMatchObject({ epoch: 2 })
      expect(forgotten()).toBe(1)
    }
  )

  it.each([
    [{ kind: 'sealed' }, undefined],
    [{ kind: 'broken', torn: '3-5 c' }, 'torn'],
    [{ kind: 'wrong-type', key: 'open' }, 'wrong-type'],
    [new AppError('PIPE_REDIS_REFUSED', 'OOM'), undefined]
  ] as const)('waits, and nothing is set aside, when Redis answers %o', async (reply, halted) => {
    const { world, run } = await open(reply)
    await expect(run()).rejects.toMatchObject({ code: 'PIPE_LIVE_STATE', class: 'transient' })
    expect(world.live().halted).toBe(halted)
    expect(world.live().owned.get(0)).toMatchObject({ position: 3n, busy: false })
  })

  it('of a halted project looks first whether an operator has built another epoch', async () => {
    const { world, calls, run } = await open({ kind: 'ok' })
    world.state = { ...world.state, torn: 'x' }
    world.projects.halt(world.live(), 'torn', 'x')
    await expect(run()).rejects.toMatchObject({ code: 'PIPE_LIVE_STATE' })
    world.state = { ...world.state, epoch: 2, torn: undefined }
    expect(await run()).toEqual({ kind: 'rewind', to: [{ topic: 'events.p', partition: 0, offset: 3n }] })
    expect(calls).toEqual([])
  })

  it('of a project that is not held any more waits to be dropped', async () => {
    const { world, run } = await open({ kind: 'ok' })
    await world.projects.startAt([])
    await expect(run()).rejects.toMatchObject({ code: 'PIPE_LIVE_STATE' })
  })
})
