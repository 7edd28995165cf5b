// The partition queue over a producer that answers when the test says so, and a clock that the test moves.
import { AppError, createManualClock } from '@millrace/kernel'
import { describe, expect, test } from 'vitest'
import { createPartitionQueue } from './partition-queue.ts'
import type { PartitionQueueDeps } from './partition-queue.ts'
import type { ProduceOptions, ProduceOutcome, ProduceRecord } from './port.ts'
import type { OutgoingEvent, PublishLimits, PublishOutcome, Publisher } from './publisher.ts'

interface Call {
  readonly topic: string
  readonly records: readonly ProduceRecord[]
  readonly partitions: readonly number[]
  readonly options: ProduceOptions
  ack(): void
  answer(outcomes: readonly ProduceOutcome[]): void
}

const ackedAt = (index: number): ProduceOutcome => ({ kind: 'acked', offset: BigInt(index), appendedAtMs: 0 })

function setup(limits: Partial<PublishLimits> = {}, more: Partial<PartitionQueueDeps> = {}) {
  const clock = createManualClock()
  const calls: Call[] = []
  const asked: string[] = []
  const topology = new Map([
    [0, 1],
    [1, 1],
    [2, 2],
    [3, 2]
  ])
  const silence = Promise.withResolvers<never>().promise
  const queue = createPartitionQueue({
    producer: {
      produce: (topic, records, options = {}) =>
        new Promise((resolve) => {
          const partitions = [...new Set(records.map(({ partition }) => partition))]
          const ack = (): void => resolve(records.map((_, index) => ackedAt(index)))
          calls.push({ topic, records, partitions, options, ack, answer: resolve })
        }),
      leaders: async (topic) => {
        asked.push(topic)
        if (topic === 'events.absent') throw new AppError('PIPE_TOPIC_MISSING', 'no such topic')
        if (topic === 'events.silent') return await silence
        return topology
      }
    },
    topicOf: (project) => `events.${project}`,
    partitionFor: (key, count) => Number(key.slice(1, 2)) % count,
    clock,
    limits,
    maxProjectBytes: () => Number.POSITIVE_INFINITY,
    ...more
  })
  const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
  /** Two turns first: one until the partitions are known, one until the queue sends. */
  const pass = async (ms = 0): Promise<void> => {
    await turn()
    await turn()
    await clock.advance(ms)
    await turn()
    await clock.advance(0)
  }
  return { queue, calls, clock, pass, topology, asked, seen: watch(queue) }
}

/** Event `p<partition>...`: the test's partitioner reads its second character. */
const event = (eventId: string, more: Partial<OutgoingEvent> = {}): OutgoingEvent => ({
  project: 'demo',
  eventId,
  value: Buffer.alloc(100, eventId),
  ...more
})

/** Publishes and notes outcomes by event as they come. */
function watch(queue: Publisher) {
  const outcomes: Record<string, string> = {}
  const note = (eventId: string, outcome: PublishOutcome | undefined): void => {
    if (outcome === undefined) throw new Error(`no outcome of ${eventId}`)
    outcomes[eventId] = outcome.kind === 'unavailable' ? outcome.reason : outcome.kind
  }
  const send = (...eventIds: readonly string[]): void => {
    for (const eventId of eventIds) void queue.publish(event(eventId)).then((outcome) => note(eventId, outcome))
  }
  return { outcomes, send, note }
}
const idsOf = (call: Call | undefined): readonly unknown[] => call?.records.map(({ key }) => key) ?? []

describe('gathering', () => {
  test('requests of one turn share a request per leader', async () => {
    const { calls, pass, seen } = setup()
    seen.send('p0', 'p2', 'p1', 'p0b')
    await pass()
    expect(calls.map(idsOf)).toEqual([['p0', 'p0b', 'p1'], ['p2']])
    calls.forEach((call) => call.ack())
    await pass()
    expect(seen.outcomes).toEqual({ p0: 'acked', p1: 'acked', p2: 'acked', p0b: 'acked' })
  })

  test('what comes while its partition is under way waits for the ack, and goes in order', async () => {
    const { calls, pass, seen } = setup()
    seen.send('p0a')
    await pass()
    seen.send('p0b')
    await pass(50)
    seen.send('p0c')
    await pass(50)
    expect(calls.map(idsOf)).toEqual([['p0a']])
    calls[0]?.ack()
    await pass()
    expect(calls.map(idsOf)).toEqual([['p0a'], ['p0b', 'p0c']])
  })

  test('a free partition of a busy leader lingers for 2 ms and then goes with its free neighbours', async () => {
    const { calls, pass, seen, topology } = setup()
    topology.set(2, 1)
    seen.send('p0a')
    await pass()
    seen.send('p1a')
    await pass(1)
    seen.send('p2a', 'p0b')
    await pass()
    expect(calls.map(idsOf)).toEqual([['p0a']])
    await pass(1)
    expect(calls.map(idsOf)).toEqual([['p0a'], ['p1a', 'p2a']])
  })

  test('a leader that is idle is not waited for, whatever another leader does', async () => {
    const { calls, pass, seen } = setup()
    seen.send('p0a')
    await pass()
    seen.send('p2a')
    await pass()
    expect(calls.map(idsOf)).toEqual([['p0a'], ['p2a']])
  })

  test('enough events end the linger, enough bytes too', async () => {
    const { calls, pass, seen } = setup({ maxBatchEvents: 3, maxBatchBytes: 1_000, lingerMs: 1_000 })
    seen.send('p0a')
    await pass()
    seen.send('p1a', 'p1b')
    await pass()
    expect(calls).toHaveLength(1)
    seen.send('p1c')
    await pass()
    expect(calls.map(idsOf)).toEqual([['p0a'], ['p1a', 'p1b', 'p1c']])
    const other = setup({ maxBatchBytes: 1_000, lingerMs: 1_000 })
    other.seen.send('p0a')
    await other.pass()
    void other.queue.publish(event('p1x', { value: Buffer.alloc(2_000) }))
    await other.pass()
    expect(other.calls.map(idsOf)).toEqual([['p0a'], ['p1x']])
  })

  test('a batch of a partition is bounded by events and by bytes, one event at least', async () => {
    const { calls, pass, queue, seen } = setup({ maxBatchEvents: 2, maxBatchBytes: 1_000 })
    seen.send('p0a', 'p0b', 'p0c')
    await pass()
    calls[0]?.ack()
    await pass()
    expect(calls.map(idsOf)).toEqual([['p0a', 'p0b'], ['p0c']])
    void queue.publish(event('p2a', { value: Buffer.alloc(5_000) }))
    seen.send('p2b')
    await pass()
    expect(calls.slice(2).map(idsOf)).toEqual([['p2a']])
  })

  test('a partition that is settled early takes its next events while the others are still tried', async () => {
    const { calls, pass, seen } = setup()
    seen.send('p0a', 'p1a')
    await pass()
    seen.send('p0b', 'p1b')
    calls[0]?.options.onSettled?.([0], [ackedAt(0)])
    await pass(2)
    expect(seen.outcomes).toEqual({ p0a: 'acked' })
    expect(calls.map(idsOf)).toEqual([['p0a', 'p1a'], ['p0b']])
    calls[0]?.ack()
    await pass()
    expect(calls.map(idsOf)).toEqual([['p0a', 'p1a'], ['p0b'], ['p1b']])
  })

  test('the key, when there is one, is stored and decides the partition', async () => {
    const { calls, pass, queue } = setup()
    void queue.publish(event('p0', { key: 'p3:p0', headers: { dedup: 'unchecked' } }))
    await pass()
    expect(calls[0]?.records).toEqual([
      { partition: 3, key: 'p3:p0', value: Buffer.alloc(100, 'p0'), headers: { dedup: 'unchecked' } }
    ])
  })
})

describe('outcomes', () => {
  test('one promise for a request, outcomes in the order of its events', async () => {
    const { calls, pass, queue } = setup()
    const all = queue.publishAll([event('p2'), event('p0'), event('p1')])
    await pass()
    calls[1]?.answer([{ kind: 'refused', code: 'MESSAGE_TOO_LARGE', message: '' }, ackedAt(0)])
    calls[0]?.answer([{ kind: 'unknown', message: '', notStored: true }])
    expect(await all).toEqual([
      { kind: 'unavailable', reason: 'not_stored' },
      { kind: 'refused', code: 'MESSAGE_TOO_LARGE' },
      { kind: 'acked' }
    ])
    expect(await queue.publishAll([])).toEqual([])
    expect(queue.queuedBytes()).toBe(0)
  })

  test('an outcome that is missing in the answer is unknown', async () => {
    const { calls, pass, seen } = setup()
    seen.send('p0a', 'p0b')
    await pass()
    calls[0]?.answer([ackedAt(0)])
    await pass()
    expect(seen.outcomes).toEqual({ p0a: 'acked', p0b: 'unknown' })
  })

  test('a produce without an answer is answered unknown after 10 s, and its late ack is told', async () => {
    const { calls, pass, queue, seen } = setup()
    let late = 0
    void queue.publish(event('p0', { onLateAck: () => late++ })).then((outcome) => seen.note('p0', outcome))
    void queue.publish(event('p0x', { onLateAck: () => late++ }))
    await pass(9_900)
    expect(seen.outcomes).toEqual({})
    await pass(200)
    expect([seen.outcomes, late, queue.queuedBytes() > 0]).toEqual([{ p0: 'unknown' }, 0, true])
    calls[0]?.answer([ackedAt(0), { kind: 'unknown', message: 'x' }])
    await pass()
    expect([seen.outcomes, late, queue.queuedBytes()]).toEqual([{ p0: 'unknown' }, 1, 0])
  })

  test('a topic that does not exist is told at once, and asked for again by the next event', async () => {
    const { pass, queue, asked } = setup()
    expect(await queue.publish(event('p0', { project: 'absent' }))).toEqual({ kind: 'unavailable', reason: 'no_topic' })
    expect(await queue.publish(event('p0', { project: 'absent' }))).toEqual({ kind: 'unavailable', reason: 'no_topic' })
    await pass()
    expect(asked).toEqual(['events.absent', 'events.absent'])
  })

  test('events whose partitions nobody can tell are turned away after 2 s, later ones at once', async () => {
    const { pass, queue, seen } = setup()
    void queue.publish(event('p0', { project: 'silent' })).then((outcome) => seen.note('p0', outcome))
    await pass(1_900)
    expect(seen.outcomes).toEqual({})
    await pass(200)
    expect(seen.outcomes).toEqual({ p0: 'stalled' })
    expect(await queue.publish(event('p1', { project: 'silent' }))).toEqual({ kind: 'unavailable', reason: 'stalled' })
  })

  test('leaders are renewed in the background, and new partitions are used', async () => {
    const { calls, pass, seen, topology } = setup()
    seen.send('p0a')
    await pass()
    calls[0]?.ack()
    topology.set(4, 1)
    await pass(5_000)
    seen.send('p4a')
    await pass()
    seen.send('p4b')
    await pass(2)
    expect(calls.map(({ partitions }) => partitions)).toEqual([[0], [0], [4]])
  })
})

describe('bounds', () => {
  const size = 100 + 3 + 128

  test('bytes of all events are bounded, those under way included', async () => {
    const { calls, pass, queue, seen } = setup({ maxQueuedBytes: 2 * size })
    seen.send('p0a', 'p2a', 'p0b')
    await pass()
    expect([seen.outcomes, queue.queuedBytes()]).toEqual([{ p0b: 'queue_full' }, 2 * size])
    calls[0]?.ack()
    await pass()
    seen.send('p0c')
    await pass()
    expect(seen.outcomes).toEqual({ p0a: 'acked', p0b: 'queue_full' })
  })

  test('bytes of a partition are bounded, its neighbour is not touched', async () => {
    const { pass, seen } = setup({ maxPartitionBytes: 2 * size })
    seen.send('p0a', 'p0b', 'p0c', 'p1a')
    await pass()
    expect(seen.outcomes).toEqual({ p0c: 'queue_full' })
  })

  test('a project has its share and no more', async () => {
    const { pass, queue, seen } = setup({}, { maxProjectBytes: (project) => (project === 'demo' ? size : 10 * size) })
    seen.send('p0a', 'p0b')
    void queue.publish(event('p0c', { project: 'other' })).then((outcome) => seen.note('p0c', outcome))
    await pass()
    expect(seen.outcomes).toEqual({ p0b: 'project_full' })
  })

  test('what waits behind a partition without answer is turned away after 2 s, later events at once', async () => {
    const { calls, pass, seen } = setup()
    seen.send('p0a')
    await pass(500)
    seen.send('p0b')
    await pass(1_600)
    seen.send('p0c', 'p1a')
    await pass()
    expect(seen.outcomes).toEqual({ p0c: 'stalled' })
    await pass(500)
    expect(seen.outcomes).toEqual({ p0b: 'stalled', p0c: 'stalled' })
    calls[0]?.ack()
    await pass()
    seen.send('p0d')
    await pass(2)
    expect(calls.map(idsOf)).toEqual([['p0a'], ['p1a'], ['p0d']])
  })

  test('the time to wait follows the speed of the acks', async () => {
    const { calls, pass, queue, seen } = setup()
    expect(queue.retryAfterMs()).toBe(0)
    for (let turn = 0; turn < 20; turn++) {
      void queue.publish(event('p0', { value: Buffer.alloc(10_000) }))
      await pass(100)
      calls.at(-1)?.ack()
      await pass()
    }
    void queue.publish(event('p0', { value: Buffer.alloc(100_000) }))
    await pass()
    expect(queue.retryAfterMs()).toBeGreaterThan(900)
    expect(queue.retryAfterMs()).toBeLessThan(1_300)
    expect(seen.outcomes).toEqual({})
  })
})

describe('when Kafka is down', () => {
  /** Five seconds without an answer. */
  async function broken() {
    const context = setup({ answerAfterMs: 60_000 })
    context.seen.send('p0a')
    await context.pass(4_900)
    context.seen.send('p1a')
    await context.pass(200)
    return context
  }

  test('events are turned away at once, and one batch a second is let through', async () => {
    const { calls, pass, queue, seen } = await broken()
    expect(queue.retryAfterMs()).toBe(1_000)
    seen.send('p2a', 'p0b')
    await pass(1_000)
    expect(seen.outcomes).toEqual({ p2a: 'kafka_down', p0b: 'kafka_down' })
    seen.send('p2b', 'p3b', 'p2c')
    await pass()
    expect(calls.map(idsOf)).toEqual([['p0a'], ['p1a'], ['p2b', 'p2c']])
    expect(seen.outcomes).toMatchObject({ p3b: 'kafka_down' })
    await pass(1_000)
    seen.send('p3c')
    await pass(2)
    expect(calls.map(idsOf).at(-1)).toEqual(['p3c'])
  })

  test('the first answer lets everything through again', async () => {
    const { calls, pass, seen } = await broken()
    calls[1]?.ack()
    await pass()
    seen.send('p2a', 'p3a')
    await pass()
    expect(calls.map(idsOf).at(-1)).toEqual(['p2a', 'p3a'])
  })

  test('a leader that answers keeps the others in business', async () => {
    const { calls, pass, seen } = setup()
    seen.send('p0a')
    for (let second = 0; second < 8; second++) {
      seen.send(`p2${second}`)
      await pass(1_000)
      calls.at(-1)?.ack()
    }
    seen.send('p2x')
    await pass()
    expect(idsOf(calls.at(-1))).toEqual(['p2x'])
  })
})

describe('drain', () => {
  test('waits for what is queued, and turns new events away', async () => {
    const { calls, pass, queue, seen } = setup({ lingerMs: 60_000 })
    seen.send('p0a')
    await pass()
    seen.send('p0b', 'p1b')
    let drained = false
    const drain = queue.drain().then(() => (drained = true))
    seen.send('p1c')
    await pass()
    calls[0]?.ack()
    calls[1]?.ack()
    await pass()
    expect([drained, seen.outcomes]).toEqual([false, { p0a: 'acked', p1b: 'acked', p1c: 'stopping' }])
    calls[2]?.ack()
    await drain
    expect(seen.outcomes).toMatchObject({ p0b: 'acked' })
    expect(queue.queuedBytes()).toBe(0)
  })

  test('ends after 15 s: unknown for what is under way, not stored for what waits', async () => {
    const { clock, pass, queue, seen } = setup({ maxAgeMs: 60_000, answerAfterMs: 60_000, breakAfterMs: 60_000 })
    seen.send('p0a')
    await pass()
    seen.send('p0b')
    const drain = queue.drain()
    await pass(14_900)
    expect(seen.outcomes).toEqual({})
    await pass(100)
    await drain
    await pass()
    expect(seen.outcomes).toEqual({ p0a: 'unknown', p0b: 'stopping' })
    expect(clock.pending()).toBe(0)
  })

  test('without work ends at once and leaves no timer', async () => {
    const { clock, calls, pass, queue, seen } = setup()
    seen.send('p0a')
    await pass()
    calls[0]?.ack()
    await pass(200)
    await queue.drain()
    expect(clock.pending()).toBe(0)
  })
})
