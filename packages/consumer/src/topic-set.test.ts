import { expect, it } from 'vitest'
import { fixedTopics, topicFamily } from './topic-set.ts'

const admin = { listTopics: async () => ['redrive.load', 'events.b', 'events.dlq.a', 'events.a', 'redrive.record'] }

it('lists the family that exists, sorted, and its redrive topic', async () => {
  const belongs = (topic: string) => /^events\.[a-z]$/.test(topic)
  const family = topicFamily({ admin, belongs, redrive: 'redrive.load' })
  expect(await family.list()).toEqual(['events.a', 'events.b', 'redrive.load'])
  expect(family.redrive).toBe('redrive.load')
  expect(await topicFamily({ admin, belongs, redrive: 'redrive.none' }).list()).toEqual(['events.a', 'events.b'])
})

it('lists fixed topics', async () => {
  expect(await fixedTopics(['x'], 'redrive.g').list()).toEqual(['x', 'redrive.g'])
})
