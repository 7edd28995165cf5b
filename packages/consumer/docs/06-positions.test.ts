// Chapter 6: positions.
//
// A partition starts at the group's committed offset, else at the beginning of the log (or its end: `fallback`). A sink
// that moves its own position together with its effect hands it out with `startAt`; the commit is then only a hint. Such
// a sink may answer a batch with `rewind`: its position is another one, the buffer is dropped and reading goes on there.
// Its batches tile the log, also where nothing is to be done, so that its position can follow.
import { expect, it } from 'vitest'
import { AppError, dead, done } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import { rewind } from '../src/index.ts'
import { allDone, createStage, partition, settle } from './setup.ts'
import type { Stage, Worker } from './setup.ts'

const key = partitionKey(partition(0))

/** A sink that applies a batch only when it begins where the last one ended. */
function owningSink(position = 0n, refused: readonly string[] = []) {
  const sink = { position, landed: [] as string[], gaps: 0 }
  const worker: Worker = ({ batch, texts }) => {
    const [range] = batch.ranges
    if (range === undefined || range.from !== sink.position) {
      sink.gaps++
      return rewind([{ ...partition(0), offset: sink.position }])
    }
    if (texts.some((text) => refused.includes(text))) throw new AppError('PIPE_REDIS_UNAVAILABLE', 'no answer')
    sink.landed.push(...texts)
    sink.position = range.to
    return batch.items.map(() => done)
  }
  return { sink, worker, startAt: async () => new Map([[key, sink.position]]) }
}

it('starts at the committed offset, else at the beginning of the log', async () => {
  const stage = await createStage(2)
  await stage.cluster.admin.setGroupOffsets('g', 'events.a', new Map([[0, 2n]]))
  stage.append(0, 'a', 'b', 'c')
  stage.append(1, 'x')
  const { texts } = await stage.start()
  await stage.advance(100)
  expect(texts().toSorted()).toEqual([['c'], ['x']])
})

it('starts at the end of the log with the fallback `latest`', async () => {
  const stage = await createStage()
  stage.append(0, 'a')
  const { texts } = await stage.start(allDone, { fallback: 'latest' })
  stage.append(0, 'b')
  await stage.advance(100)
  expect(texts()).toEqual([['b']])
})

it('starts where the sink says, whatever is committed', async () => {
  const stage = await createStage()
  await stage.cluster.admin.setGroupOffsets('g', 'events.a', new Map([[0, 3n]]))
  stage.append(0, 'a', 'b', 'c', 'd')
  const { sink, worker, startAt } = owningSink(1n)
  await stage.start(worker, { startAt })
  await stage.advance(100)
  expect([sink.landed, sink.position, sink.gaps]).toEqual([['b', 'c', 'd'], 4n, 0])
})

it('waits for a sink that cannot say where to start, and is not ready meanwhile', async () => {
  const stage = await createStage()
  stage.append(0, 'a')
  let down = true
  const { texts, consumer } = await worker(stage)
  await stage.advance(5_000)
  expect([texts(), consumer.ready()]).toEqual([[], false])
  down = false
  await stage.advance(60_000)
  expect([texts(), consumer.ready()]).toEqual([[['a']], true])

  function worker(stage: Stage) {
    const { worker, startAt } = owningSink()
    return stage.start(worker, {
      startAt: async () => {
        if (down) throw new AppError('PIPE_REDIS_UNAVAILABLE', 'no answer')
        return await startAt()
      }
    })
  }
})

it('rewinds back and forth to the position of the sink, and no record is applied twice or left out', async () => {
  const stage = await createStage()
  const { sink, worker, startAt } = owningSink()
  await stage.start(worker, { startAt })
  stage.append(0, 'a', 'b', 'c')
  await settle()
  sink.position = 1n
  sink.landed.splice(1)
  stage.append(0, 'd', 'e', 'f')
  await stage.advance(200)
  expect([sink.landed.join(''), sink.gaps]).toEqual(['abcdef', 1])
  sink.position = 8n
  stage.append(0, 'g', 'h', 'i')
  await stage.advance(200)
  expect([sink.landed.join(''), sink.gaps]).toEqual(['abcdefi', 2])
  expect(stage.committed()).toBe(9n)
})

it('ends when a sink rewinds for ever', async () => {
  const stage = await createStage()
  stage.append(0, 'a', 'b', 'c')
  const { consumer } = await stage.start(() => rewind([{ ...partition(0), offset: 0n }]), {
    startAt: async () => new Map()
  })
  await stage.advance(1_000)
  await expect(consumer.done).rejects.toThrow('100 rewinds of events.a:0 without progress')
})

it('calls a sink that owns its position for batches without items, so that the position passes them', async () => {
  const stage = await createStage()
  const { sink, worker, startAt } = owningSink()
  await stage.start(worker, { startAt })
  stage.append(0, 'skip', 'bad', 'skip')
  await stage.advance(100)
  expect([sink.position, sink.landed, stage.committed()]).toEqual([3n, [], 3n])
})

it('writes the letters of a batch before a sink that owns its position passes the records', async () => {
  const stage = await createStage()
  const { sink, worker, startAt } = owningSink()
  await stage.start(worker, { startAt })
  stage.cluster.faults.produce = () => 'lost'
  stage.append(0, 'a', 'bad', 'b')
  await stage.advance(100)
  expect(sink.position).toBe(0n)
  delete stage.cluster.faults.produce
  await stage.advance(1_000)
  expect([sink.position, sink.landed, stage.letters().length]).toEqual([3n, ['a', 'b'], 1])
})

it('sets a refused row of such a sink aside by its letter first, and lets the position pass it with the next rows', async () => {
  const stage = await createStage()
  const { sink, worker, startAt } = owningSink()
  let lettersBefore = -1
  await stage.start(
    (call) => {
      if (call.texts.includes('b')) throw new AppError('PIPE_CLICKHOUSE_REFUSED', 'bad row')
      if (call.texts.includes('c')) lettersBefore = stage.letters().length
      return worker(call)
    },
    { startAt }
  )
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(200)
  expect([sink.landed, sink.position, lettersBefore]).toEqual([['a', 'c'], 3n, 1])
  expect(stage.letters().map(({ letter }) => [letter.id, letter.stage])).toEqual([['g:events.a:0:1', 'handle']])
  expect(stage.committed()).toBe(3n)
})

it('does not pass skipped records in front of a refused row without the sink', async () => {
  const stage = await createStage()
  const { sink, worker, startAt } = owningSink()
  await stage.start(
    (call) => {
      if (call.texts.includes('b')) throw new AppError('PIPE_CLICKHOUSE_REFUSED', 'bad row')
      return worker(call)
    },
    { startAt }
  )
  stage.append(0, 'skip', 'b', 'c')
  await stage.advance(200)
  expect([sink.landed, sink.position, sink.gaps]).toEqual([['c'], 3n, 0])
  expect(stage.committed()).toBe(3n)
})

it('writes a letter once, also when its batch is cut anew', async () => {
  const stage = await createStage()
  const { worker, startAt } = owningSink()
  await stage.start(
    (call) => {
      if (call.texts.includes('b')) throw new AppError('PIPE_CLICKHOUSE_REFUSED', 'bad row')
      return worker(call)
    },
    { startAt }
  )
  stage.append(0, 'bad', 'b', 'c')
  await stage.advance(200)
  expect(stage.letters().map(({ letter }) => letter.id)).toEqual(['g:events.a:0:0', 'g:events.a:0:1'])
  expect(stage.committed()).toBe(3n)
})

it('ends when such a sink calls a record dead after passing it: the letter could be lost', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(({ batch }) => batch.items.map(() => dead('size', new Error('no'))), {
    startAt: async () => new Map()
  })
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(100)
  await expect(consumer.done).rejects.toThrow('with startAt only decode may decide that a record is dead')
})

it('counts records that the log dropped before they were read, and covers the hole with the next batch', async () => {
  const stage = await createStage()
  stage.append(0, 'a', 'b', 'c', 'd', 'e')
  stage.cluster.trim(partition(0), 3n)
  const { sink, worker, startAt } = owningSink(1n)
  await stage.start(worker, { startAt })
  await stage.advance(100)
  expect([sink.landed, sink.position, sink.gaps]).toEqual([['d', 'e'], 5n, 0])
  expect(await stage.metric('analytics_events_dropped_total', { reason: 'expired', intentional: 'false' })).toBe(2)
})

it('ends when the log ends before the position of the sink: it is another log', async () => {
  const stage = await createStage()
  stage.append(0, 'a')
  const { worker, startAt } = owningSink(5n)
  const { consumer } = await stage.start(worker, { startAt })
  await stage.advance(100)
  await expect(consumer.done).rejects.toThrow('events.a:0 ends before the position of its sink, 5')
})
