// Chapter 3: dead letters.
//
// A record that can never have its effect goes to the dead-letter topic of its topic: key and value as they were, the
// original headers, and why it failed in headers of their own. The letter is acknowledged before the offset moves. Its
// id is made of the group and the coordinates, so a repeat is the same letter. A letter that is sent back through the
// redrive topic of the group is handled under the coordinates of the record that failed.
import { expect, it } from 'vitest'
import { AppError, dead, done } from '@millrace/kernel'
import type { KafkaRecord } from '@millrace/kafka'
import { allDone, createStage, partition, settle } from './setup.ts'
import type { Stage } from './setup.ts'

const wide = ({ texts }: { texts: readonly string[] }) =>
  texts.map((text) =>
    text === 'wide' ? dead('size', new AppError('PIPE_CLICKHOUSE_REFUSED', `row of anna@example.org`)) : done
  )

it('writes key and value untouched, keeps the headers, and says why, where and when', async () => {
  const stage = await createStage()
  await stage.start()
  const value = Buffer.from([0x62, 0x61, 0x64, 0xff, 0x00])
  const headers = { traceparent: 'x', 'dlq.id': 'forged' }
  await stage.cluster.producer.produce('events.a', [{ partition: 0, key: Buffer.from([0xfe]), value, headers }])
  await stage.advance(100)
  const [record] = stage.cluster.records('events.dlq.a')
  expect([record?.key, record?.value]).toEqual([Buffer.from([0xfe]), value])
  const now = String(stage.clock.now() - 100)
  expect(
    Object.fromEntries(Object.entries(record?.headers ?? {}).map(([name, text]) => [name, text.toString()]))
  ).toEqual({
    traceparent: 'x',
    'dlq.id': 'g:events.a:0:0',
    'dlq.topic': 'events.a',
    'dlq.partition': '0',
    'dlq.offset': '0',
    'dlq.append-time': now,
    'dlq.group': 'g',
    'dlq.stage': 'decode',
    'dlq.error-class': 'parse',
    'dlq.error-code': 'Error',
    'dlq.error-message': 'not an event: bad\ufffd',
    'dlq.attempts': '1',
    'dlq.first-failure': String(stage.clock.now()),
    'dlq.last-failure': String(stage.clock.now()),
    'dlq.app-version': '1.2.3'
  })
})

it('keeps addresses out of the letter', async () => {
  const stage = await createStage()
  await stage.start(wide)
  stage.append(0, 'wide')
  await stage.advance(100)
  expect(stage.letters().map(({ letter }) => [letter.stage, letter.code, letter.message])).toEqual([
    ['handle', 'PIPE_CLICKHOUSE_REFUSED', 'row of [email]']
  ])
})

it('does not commit past a record whose letter was not acknowledged, and writes it again', async () => {
  const stage = await createStage()
  const { consumer, calls } = await stage.start(wide)
  stage.cluster.faults.produce = () => 'reply-lost'
  stage.append(0, 'a', 'wide', 'b')
  await settle()
  expect(stage.committed()).toBeUndefined()
  delete stage.cluster.faults.produce
  await stage.advance(250)
  expect(stage.committed()).toBe(3n)
  expect(stage.letters().map(({ letter }) => letter.id)).toEqual(['g:events.a:0:1', 'g:events.a:0:1'])
  expect(calls).toHaveLength(1)
  expect(consumer.ready()).toBe(true)
})

it('holds up only the partitions with a pending letter when one batch takes several', async () => {
  const stage = await createStage(2)
  const policy = { maxRows: 4, maxBytes: 1_000_000, maxAgeMs: 100, scope: 'process' } as const
  await stage.start(wide, { policy })
  stage.cluster.faults.produce = () => 'lost'
  stage.append(0, 'a', 'b')
  stage.append(1, 'c', 'wide')
  await settle()
  expect([stage.committed(0), stage.committed(1)]).toEqual([2n, undefined])
  delete stage.cluster.faults.produce
  await stage.advance(250)
  expect([stage.committed(0), stage.committed(1)]).toEqual([2n, 2n])
})

it('waits for a missing dead-letter topic instead of losing the record', async () => {
  const stage = await createStage()
  await stage.cluster.admin.deleteTopics(['events.dlq.a'])
  const { consumer } = await stage.start()
  stage.append(0, 'a', 'bad', 'b')
  await stage.advance(31_000)
  expect(stage.committed()).toBeUndefined()
  expect([consumer.ready(), consumer.live()]).toEqual([false, true])
  await stage.cluster.admin.createTopics([{ topic: 'events.dlq.a', partitions: 1, replicationFactor: 1, config: {} }])
  await stage.advance(60_000)
  expect(stage.committed()).toBe(3n)
  expect(stage.letters()).toHaveLength(1)
})

it('stores a letter that the topic refuses without its bytes, which stay in the original topic, and goes on', async () => {
  const stage = await createStage()
  await stage.cluster.admin.alterTopicConfig('events.dlq.a', { 'max.message.bytes': '2000' })
  await stage.start()
  stage.append(0, `bad${'x'.repeat(3_000)}`, 'b', 'c')
  await stage.advance(100)
  expect(stage.committed()).toBe(3n)
  expect(stage.letters().map(({ value, letter }) => [value, letter.stub, letter.origin.offset])).toEqual([
    [undefined, true, 0n]
  ])
  expect(await stage.metric('analytics_dead_letter_stubs_total', { group: 'g' })).toBe(1)
})

it('handles a redriven letter under the coordinates of the record that failed', async () => {
  const stage = await createStage()
  let broken = true
  const { calls } = await stage.start(({ texts }) =>
    texts.map((text) => (broken && text === 'wide' ? dead('size', new Error('no')) : done))
  )
  stage.append(0, 'a', 'wide')
  await stage.advance(100)
  broken = false
  await redrive(stage)
  await stage.advance(100)
  const { topic, partition: index, offset, redriven } = calls[1]?.batch.items[0] ?? {}
  expect([topic, index, offset, redriven]).toEqual(['events.a', 0, 1n, true])
  expect(stage.committed(0, 'redrive.g')).toBe(1n)
  expect(stage.letters()).toHaveLength(1)
})

it('keeps the id and the first failure of a letter that fails again, and adds up the attempts', async () => {
  const stage = await createStage()
  await stage.start(wide)
  stage.append(0, 'a', 'wide')
  await stage.advance(100)
  const firstAtMs = stage.clock.now()
  await redrive(stage)
  await stage.advance(5_000)
  const [first, second] = stage.letters().map(({ letter }) => letter)
  expect(first).toMatchObject({ id: 'g:events.a:0:1', attempts: 1, firstFailureAtMs: firstAtMs })
  expect(second).toMatchObject({ id: 'g:events.a:0:1', attempts: 2, firstFailureAtMs: firstAtMs })
  expect(second?.lastFailureAtMs).toBeGreaterThan(firstAtMs)
})

it('skips a record of the redrive topic that is not a letter', async () => {
  const stage = await createStage()
  const { calls } = await stage.start(allDone)
  stage.cluster.append(partition(0, 'redrive.g'), 'junk')
  await stage.advance(100)
  expect(calls).toEqual([])
  expect(await stage.metric('analytics_events_dropped_total', { reason: 'invalid', intentional: 'true' })).toBe(1)
  expect(stage.committed(0, 'redrive.g')).toBe(1n)
})

/** What a redrive does: the letters, as they are, to the topic of the group. */
async function redrive(stage: Stage): Promise<void> {
  const letters = stage.cluster.records('events.dlq.a').map(({ key, value, headers }: KafkaRecord) => {
    return { partition: 0, key, value, headers }
  })
  await stage.cluster.producer.produce('redrive.g', letters)
}
