// docs/delivery.md: what is not an event never blocks its neighbours and never vanishes.
import { describe, expect, it } from 'vitest'
import { dlqTopic, rawTopic } from '@millrace/contracts'
import { partitionFor } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import { createEventFactory } from '@millrace/testkit/event-factory'
import { eventually } from '@millrace/testkit/eventually'
import { settle } from '@millrace/testkit/faults/check-project'
import { scanTopic } from '@millrace/testkit/faults/scan-topic'
import type { Pipeline } from '@millrace/testkit/pipeline'

/** Broker limit of a raw record is 1 MiB including its framing; this is as large as a value can be under it. */
const almostOneMiB = 1024 * 1024 - 1_024

const garbage: readonly (readonly [name: string, value: Buffer | null])[] = [
  ['not JSON', Buffer.from('this is not an event')],
  ['empty', Buffer.alloc(0)],
  ['no value', null],
  ['one MiB of noise', Buffer.from(Array.from({ length: almostOneMiB }, (_, index) => (index * 7919) % 251))],
  ['a list', Buffer.from('[{"eventId":"x","eventType":"y"}]')],
  ['a number for an id', Buffer.from('{"eventId":7,"eventType":"page_view"}')],
  ['no type', Buffer.from('{"eventId":"no-type"}')],
  ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])],
  ['10,000 levels', Buffer.from(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`)]
]

export function poison(one: () => Pipeline): void {
  describe('garbage produced straight into the raw topic', () => {
    it('goes to the dead-letter topic with its bytes unchanged, and its neighbours land', async () => {
      const pipeline = one()
      const project = await pipeline.createProject('poison')
      const topic = rawTopic(project.projectId)
      const factory = createEventFactory('poison', { run: project.projectId })
      const producer = await pipeline.kafka.producer()
      const sent = []
      for (const [name, value] of garbage) {
        const before = factory.event()
        const after = factory.event()
        expect((await pipeline.send(project, before)).status).toBe(202)
        const partition = partitionFor(before.eventId, await producer.partitionCount(topic))
        const [outcome] = await producer.produce(topic, [{ partition, key: `key of ${name}`, value }])
        expect(outcome?.kind, name).toBe('acked')
        expect((await pipeline.send(project, after)).status).toBe(202)
        sent.push(before, after)
      }
      await settle(pipeline, project.projectId)

      const visible = await pipeline.visibleIds(project.projectId)
      expect([...visible.keys()].toSorted()).toEqual(sent.map(({ eventId }) => eventId).toSorted())
      const scan = { admin: pipeline.admin, client: pipeline.kafka.consumers, clock: systemClock }
      const letters = await scanTopic(scan, dlqTopic(project.projectId))
      expect(letters.map(({ key }) => key?.toString()).toSorted()).toEqual(
        garbage.map(([name]) => `key of ${name}`).toSorted()
      )
      for (const [name, value] of garbage) {
        const letter = letters.find(({ key }) => key?.toString() === `key of ${name}`)
        const same = value === null ? letter?.value === null : letter?.value?.equals(value)
        expect(same, `the bytes of ${name}`).toBe(true)
        expect(letter?.headers['dlq.group']?.toString(), name).toBe('process')
        expect(letter?.headers['dlq.id']?.toString(), name).toMatch(new RegExp(`^process:${topic}:\\d+:\\d+$`))
      }
      for (const name of ['processor', 'loader'] as const) expect(pipeline.services.service(name).starts, name).toBe(1)
      await eventually('ready workers', () => pipeline.services.all.every(({ state }) => state === 'up'))
    })
  })
}
