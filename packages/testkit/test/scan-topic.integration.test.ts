// The scanner on the real broker: everything up to the end at its start, exactly once, nothing after.
import { systemClock } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { scanTopic } from '@millrace/testkit/faults/scan-topic'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { failOnLeaks } from '@millrace/testkit/leaks'
import { unique } from '@millrace/testkit/unique'

failOnLeaks()

describe('scanTopic', () => {
  it('reads every record of every partition once, in order', async () => {
    await using kafka = await openTestKafka()
    const admin = await kafka.admin()
    const topic = unique('scan')
    await admin.createTopics([{ topic, partitions: 3, replicationFactor: 1, config: {} }])
    expect(await scanTopic({ admin, client: kafka.consumers, clock: systemClock }, topic)).toEqual([])
    const producer = await kafka.producer()
    for (let round = 0; round < 4; round++) {
      const values = Array.from({ length: 500 }, (_, index) => `${round}-${index}`)
      const records = values.map((value, index) => ({ partition: index % 2, key: null, value: Buffer.from(value) }))
      const outcomes = await producer.produce(topic, records)
      expect(outcomes.filter(({ kind }) => kind === 'acked')).toHaveLength(500)
    }
    const records = await scanTopic({ admin, client: kafka.consumers, clock: systemClock }, topic)
    expect(new Set(records.map(({ value }) => value?.toString())).size).toBe(2_000)
    expect(records.map(({ partition, offset }) => [partition, offset])).toEqual([
      ...Array.from({ length: 1_000 }, (_, offset) => [0, BigInt(offset)]),
      ...Array.from({ length: 1_000 }, (_, offset) => [1, BigInt(offset)])
    ])
  })
})
