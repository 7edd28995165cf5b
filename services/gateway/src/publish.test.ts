import { describe, expect, it } from 'vitest'
import type { ProduceOutcome, ProduceRecord, Producer } from '@millrace/kafka'
import { AppError, createManualClock } from '@millrace/kernel'
import { createPublisher } from './publish.ts'
import type { OutgoingEvent, PublishLimits, PublishOutcome } from './publish.ts'

interface Call {
  readonly topic: string
  readonly records: readonly ProduceRecord[]
  answer(outcomes: readonly ProduceOutcome[]): void
  ack(): void
}

const limits: PublishLimits = {
  maxQueuedBytes: 1_000,
  maxBatchEvents: 3,
  maxBatchBytes: 500,
  stallAfterMs: 2_000,
  answerAfterMs: 10_000,
  drainMs: 15_000
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function setup(overrides: Partial<PublishLimits> = {}) {
  const calls: Call[] = []
  const clock = createManualClock()
  const batches: number[] = []
  const lookup = Promise.withResolvers<void>()
  const producer: Producer = {
    produce: (topic, records) =>
      new Promise((resolve) => {
        const acks = records.map((_, index): ProduceOutcome => ({
          kind: 'acked',
          offset: BigInt(index),
          appendedAtMs: 0
        }))
        calls.push({ topic, records, answer: resolve, ack: () => resolve(acks) })
      }),
    partitionCount: async (topic) => {
      if (topic === 'events.silent') await lookup.promise
      if (topic === 'events.absent') throw new AppError('PIPE_TOPIC_MISSING', 'no such topic')
      return 4
    },
    [Symbol.asyncDispose]: async () => {}
  }
  const publisher = createPublisher({
    producer,
    topicOf: (project) => `events.${project}`,
    partitionFor: (eventId, partitions) => Number(eventId.slice(1)) % partitions,
    clock,
    limits: { ...limits, ...overrides },
    onBatch: (events) => batches.push(events)
  })
  return { publisher, calls, clock, batches, lookup }
}

const event = (eventId: string, more: Partial<OutgoingEvent> = {}): OutgoingEvent => ({
  project: 'demo',
  eventId,
  value: Buffer.alloc(100, eventId),
  ...more
})

/** Collects outcomes as they arrive, so that a test can say what has been answered so far. */
function answers() {
  const seen: Record<string, string> = {}
  const track = (name: string, outcome: Promise<PublishOutcome>): void => {
    void outcome.then((settled) => {
      seen[name] = settled.kind === 'unavailable' ? settled.reason : settled.kind
    })
  }
  return { seen, track }
}

describe('createPublisher', () => {
  it('sends an event at the end of the turn and answers only after its ack', async () => {
    const { publisher, calls } = setup()
    const { seen, track } = answers()
    track('e1', publisher.publish(event('e1', { headers: { dedup: 'unchecked' } })))
    await turn()
    expect(calls.map(({ topic, records }) => ({ topic, records }))).toEqual([
      {
        topic: 'events.demo',
        records: [{ partition: 1, key: 'e1', value: Buffer.alloc(100, 'e1'), headers: { dedup: 'unchecked' } }]
      }
    ])
    expect(seen).toEqual({})
    calls[0]?.ack()
    await turn()
    expect(seen).toEqual({ e1: 'acked' })
    expect(publisher.queuedBytes()).toBe(0)
  })

  it('puts the events of one turn into one produce', async () => {
    const { publisher, calls, batches } = setup()
    for (const id of ['e1', 'e2', 'e3']) void publisher.publish(event(id))
    await turn()
    expect(calls.map(({ records }) => records.map(({ key }) => key))).toEqual([['e1', 'e2', 'e3']])
    expect(batches).toEqual([3])
  })

  it('keeps one produce per topic under way and sends what gathered behind it in order', async () => {
    const { publisher, calls } = setup()
    void publisher.publish(event('e1'))
    await turn()
    for (const id of ['e2', 'e3', 'e4', 'e5']) void publisher.publish(event(id))
    await turn()
    expect(calls).toHaveLength(1)
    calls[0]?.ack()
    await turn()
    expect(calls.slice(1).map(({ records }) => records.map(({ key }) => key))).toEqual([['e2', 'e3', 'e4']])
    calls[1]?.ack()
    await turn()
    expect(calls.slice(2).map(({ records }) => records.map(({ key }) => key))).toEqual([['e5']])
  })

  it('keeps one produce under way when an answered caller publishes again at once', async () => {
    const { publisher, calls } = setup()
    void publisher.publish(event('e1')).then(() => publisher.publish(event('e3')))
    await turn()
    void publisher.publish(event('e2'))
    calls[0]?.ack()
    await turn()
    await turn()
    expect(calls).toHaveLength(2)
    expect(calls[1]?.records.map(({ key }) => key)).toContain('e2')
  })

  it('ends a batch before it exceeds its bytes, and sends a larger event alone', async () => {
    const { publisher, calls } = setup({ maxBatchBytes: 250 })
    void publisher.publish(event('e1', { value: Buffer.alloc(300) }))
    for (const id of ['e2', 'e3', 'e4']) void publisher.publish(event(id))
    await turn()
    calls[0]?.ack()
    await turn()
    calls[1]?.ack()
    await turn()
    expect(calls.map(({ records }) => records.map(({ key }) => key))).toEqual([['e1'], ['e2', 'e3'], ['e4']])
  })

  it('gives each project its own topic and does not make one wait for the other', async () => {
    const { publisher, calls } = setup()
    void publisher.publish(event('e1'))
    void publisher.publish(event('e2', { project: 'shop' }))
    await turn()
    expect(calls.map(({ topic }) => topic)).toEqual(['events.demo', 'events.shop'])
  })

  it('answers each event with its own outcome', async () => {
    const { publisher, calls } = setup()
    const { seen, track } = answers()
    for (const id of ['e1', 'e2']) track(id, publisher.publish(event(id)))
    await turn()
    calls[0]?.answer([
      { kind: 'acked', offset: 1n, appendedAtMs: 0 },
      { kind: 'unknown', message: 'closed' }
    ])
    await turn()
    expect(seen).toEqual({ e1: 'acked', e2: 'unknown' })
  })

  it('treats an event that the reply does not cover as unknown', async () => {
    const { publisher, calls } = setup()
    const { seen, track } = answers()
    for (const id of ['e1', 'e2']) track(id, publisher.publish(event(id)))
    await turn()
    calls[0]?.answer([{ kind: 'acked', offset: 1n, appendedAtMs: 0 }])
    await turn()
    expect(seen).toEqual({ e1: 'acked', e2: 'unknown' })
  })

  it('tells what the broker refused from what was certainly not stored yet', async () => {
    const { publisher, calls } = setup()
    const { seen, track } = answers()
    for (const id of ['e1', 'e2']) track(id, publisher.publish(event(id)))
    await turn()
    calls[0]?.answer([
      { kind: 'refused', code: 'MESSAGE_TOO_LARGE', message: 'too large' },
      { kind: 'unknown', message: 'no connection', notStored: true }
    ])
    await turn()
    expect(seen).toEqual({ e1: 'refused', e2: 'not_stored' })
  })

  it('turns an event away when the queue is full, and takes events again when it is not', async () => {
    const { publisher, calls } = setup({ maxQueuedBytes: 250 })
    const { seen, track } = answers()
    for (const id of ['e1', 'e2', 'e3']) track(id, publisher.publish(event(id)))
    await turn()
    expect(seen).toEqual({ e3: 'queue_full' })
    calls[0]?.ack()
    await turn()
    track('e4', publisher.publish(event('e4')))
    await turn()
    calls[1]?.ack()
    await turn()
    expect(seen).toEqual({ e1: 'acked', e2: 'acked', e3: 'queue_full', e4: 'acked' })
  })

  it('turns away what waits behind a produce that stalls, until that produce ends', async () => {
    const { publisher, calls, clock } = setup()
    const { seen, track } = answers()
    track('e1', publisher.publish(event('e1')))
    await turn()
    track('e2', publisher.publish(event('e2')))
    await clock.advance(1_999)
    await turn()
    expect(seen).toEqual({})
    await clock.advance(1)
    track('e3', publisher.publish(event('e3')))
    await turn()
    expect(seen).toEqual({ e2: 'stalled', e3: 'stalled' })
    expect(publisher.queuedBytes()).toBe(100)
    calls[0]?.ack()
    await turn()
    track('e4', publisher.publish(event('e4')))
    await turn()
    calls[1]?.ack()
    await turn()
    expect(seen).toEqual({ e1: 'acked', e2: 'stalled', e3: 'stalled', e4: 'acked' })
    expect(calls).toHaveLength(2)
  })

  it('answers unknown at the deadline and reports the ack that comes later', async () => {
    const { publisher, calls, clock } = setup()
    const { seen, track } = answers()
    const late: string[] = []
    track('e1', publisher.publish(event('e1', { onLateAck: () => late.push('e1') })))
    await turn()
    await clock.advance(10_000)
    await turn()
    expect(seen).toEqual({ e1: 'unknown' })
    expect(late).toEqual([])
    calls[0]?.ack()
    await turn()
    expect(late).toEqual(['e1'])
    expect(clock.pending()).toBe(0)
  })

  it('does not report a late ack for an event that was answered in time', async () => {
    const { publisher, calls } = setup()
    const late: string[] = []
    void publisher.publish(event('e1', { onLateAck: () => late.push('e1') }))
    await turn()
    calls[0]?.ack()
    await turn()
    expect(late).toEqual([])
  })

  it('names the missing topic as the reason, without a produce', async () => {
    const { publisher, calls } = setup()
    expect(await publisher.publish(event('e1', { project: 'absent' }))).toEqual({
      kind: 'unavailable',
      reason: 'no_topic'
    })
    expect(calls).toEqual([])
  })

  it('turns an event away when its topic cannot be looked up in time, and does not send it later', async () => {
    const { publisher, calls, clock, lookup } = setup()
    const { seen, track } = answers()
    track('e1', publisher.publish(event('e1', { project: 'silent' })))
    await turn()
    await clock.advance(2_000)
    await turn()
    expect(seen).toEqual({ e1: 'stalled' })
    lookup.resolve()
    await turn()
    expect(calls).toEqual([])
    expect(publisher.queuedBytes()).toBe(0)
    track('e2', publisher.publish(event('e2', { project: 'silent' })))
    await turn()
    calls[0]?.ack()
    await turn()
    expect(seen).toEqual({ e1: 'stalled', e2: 'acked' })
  })

  it('waits for what is under way and queued when it is disposed, and takes nothing new', async () => {
    const { publisher, calls } = setup()
    const { seen, track } = answers()
    track('e1', publisher.publish(event('e1')))
    await turn()
    track('e2', publisher.publish(event('e2')))
    let disposed = false
    const disposal = publisher[Symbol.asyncDispose]().then(() => (disposed = true))
    track('e3', publisher.publish(event('e3')))
    await turn()
    calls[0]?.ack()
    await turn()
    expect({ disposed, seen }).toEqual({ disposed: false, seen: { e1: 'acked', e3: 'stopping' } })
    calls[1]?.ack()
    await disposal
    expect(seen).toEqual({ e1: 'acked', e2: 'acked', e3: 'stopping' })
  })

  it('waits for an event that was accepted in the turn of the disposal', async () => {
    const { publisher, calls } = setup()
    const { seen, track } = answers()
    track('e1', publisher.publish(event('e1')))
    const disposal = publisher[Symbol.asyncDispose]()
    await turn()
    calls[0]?.ack()
    await disposal
    expect(seen).toEqual({ e1: 'acked' })
  })

  it('stops waiting for a produce that does not end', async () => {
    const { publisher, clock } = setup()
    void publisher.publish(event('e1'))
    await turn()
    const disposal = publisher[Symbol.asyncDispose]()
    await turn()
    await clock.advance(15_000)
    await expect(disposal).resolves.toBeUndefined()
  })
})
