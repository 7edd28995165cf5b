import { describe, expect, it } from 'vitest'
import { bindMetrics, createRegistry } from '@millrace/observability'
import type { ProduceOutcome, ProduceRecord } from '@millrace/kafka'
import { processorMetrics } from './metrics.ts'
import { createProcess } from './process.ts'
import type { ProcessedRecord } from './to-processed.ts'

const acked: ProduceOutcome = { kind: 'acked', offset: 1n, appendedAtMs: 1 }
const item = (id: string, topic = 'events.processed.shop'): ProcessedRecord => ({
  topic,
  partition: 1,
  key: null,
  value: Buffer.from(id),
  headers: {}
})

function setUp(answer: (topic: string, value: string) => ProduceOutcome) {
  const sent: [topic: string, values: string[]][] = []
  const labels: string[] = []
  const registry = createRegistry()
  const produce = async (topic: string, records: readonly ProduceRecord[]): Promise<readonly ProduceOutcome[]> => {
    const values = records.map(({ value }) => String(value))
    sent.push([topic, values])
    return values.map((value) => answer(topic, value))
  }
  const process = createProcess({
    producer: { produce },
    metrics: bindMetrics(processorMetrics, registry),
    faults: { at: (label) => void labels.push(label) }
  })
  const total = async (name: string): Promise<unknown> => (await registry.getSingleMetric(name)?.get())?.values
  return { process, sent, labels, total }
}

describe('process', () => {
  it('produces a batch in order with one call and tells the outcomes after its ack', async () => {
    const { process, sent, labels, total } = setUp(() => acked)
    expect(await process({ items: [item('a'), item('bc')] })).toEqual([{ kind: 'done' }, { kind: 'done' }])
    expect(sent).toEqual([['events.processed.shop', ['a', 'bc']]])
    expect(labels).toEqual(['processor.before-produce', 'processor.after-produce'])
    expect(await total('analytics_processed_events_produced_total')).toMatchObject([{ value: 2 }])
    expect(await total('analytics_processed_bytes_produced_total')).toMatchObject([{ value: 3 }])
  })

  it('keeps the outcomes of redriven events of two projects in their places', async () => {
    const { process, sent } = setUp((_, value) =>
      value === 'c' ? { kind: 'refused', code: 'MESSAGE_TOO_LARGE', message: 'too large' } : acked
    )
    const outcomes = await process({ items: [item('a'), item('b', 'events.processed.other'), item('c')] })
    expect(outcomes.map(({ kind }) => kind)).toEqual(['done', 'done', 'dead'])
    expect(sent).toEqual([
      ['events.processed.shop', ['a', 'c']],
      ['events.processed.other', ['b']]
    ])
  })

  it.each([
    ['MESSAGE_TOO_LARGE', 'size'],
    ['INVALID_RECORD', 'constraint']
  ])('sets an event aside that is refused as %s, and counts it', async (code, reason) => {
    const { process, total } = setUp(() => ({ kind: 'refused', code, message: code }))
    expect(await process({ items: [item('a')] })).toMatchObject([
      { kind: 'dead', reason, cause: { code: 'PIPE_KAFKA_REFUSED' } }
    ])
    expect(await total('analytics_processed_events_refused_total')).toMatchObject([{ value: 1, labels: { reason } }])
    expect(await total('analytics_processed_events_produced_total')).toMatchObject([{ value: 0 }])
  })

  it.each(['UNKNOWN_PARTITION', 'UNKNOWN_TOPIC_OR_PARTITION', 'TOPIC_AUTHORIZATION_FAILED', 'constructor'])(
    'waits for an operator, naming the topic, when it refuses everybody with %s',
    async (code) => {
      const { process } = setUp(() => ({ kind: 'refused', code, message: code }))
      await expect(process({ items: [item('a')] })).rejects.toMatchObject({
        code: 'PIPE_PROCESSED_TOPIC',
        class: 'transient',
        details: { topic: 'events.processed.shop', kafka: code }
      })
    }
  )

  it('has the batch produced again when one event is in doubt', async () => {
    const { process } = setUp((_, value) => (value === 'b' ? { kind: 'unknown', message: 'no reply' } : acked))
    await expect(process({ items: [item('a'), item('b')] })).rejects.toMatchObject({
      code: 'PIPE_KAFKA_UNKNOWN_OUTCOME',
      class: 'transient',
      message: 'producing to events.processed.shop: no reply'
    })
  })
})
