// Properties of the assignment: nothing dropped, nothing doubled, nothing to a member that does not know the topic.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { assignPartitions } from './assignment.ts'
import type { SubscribedMember } from './assignment.ts'

const topicNames = ['a', 'b', 'c', 'd']
const members = fc
  .uniqueArray(fc.string({ minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 6 })
  .chain((ids) => fc.tuple(...ids.map((memberId) => fc.subarray(topicNames).map((topics) => ({ memberId, topics })))))
const counts = fc
  .tuple(...topicNames.map(() => fc.integer({ min: 0, max: 12 })))
  .map((sizes) => new Map(topicNames.map((topic, index) => [topic, sizes[index] ?? 0])))

const flatten = (shares: ReturnType<typeof assignPartitions>) =>
  [...shares].flatMap(([memberId, topics]) =>
    [...topics].flatMap(([topic, partitions]) => partitions.map((partition) => ({ memberId, topic, partition })))
  )

test('gives every partition of every subscribed topic to exactly one member that subscribes it', () => {
  fc.assert(
    fc.property(members, counts, (group: readonly SubscribedMember[], sizes) => {
      const given = flatten(assignPartitions(group, sizes))
      const subscribed = topicNames.filter((topic) => group.some(({ topics }) => topics.includes(topic)))
      const wanted = subscribed.flatMap((topic) =>
        Array.from({ length: sizes.get(topic) ?? 0 }, (_, partition) => `${topic}:${partition}`)
      )
      expect(given.map(({ topic, partition }) => `${topic}:${partition}`).sort()).toEqual(wanted.sort())
      for (const { memberId, topic } of given) {
        expect(group.find((member) => member.memberId === memberId)?.topics).toContain(topic)
      }
    })
  )
})

test('keeps members with equal subscriptions within one partition of each other', () => {
  fc.assert(
    fc.property(members, counts, (group: readonly SubscribedMember[], sizes) => {
      const given = flatten(assignPartitions(group, sizes))
      const load = (memberId: string) => given.filter((one) => one.memberId === memberId).length
      const alike = Map.groupBy(group, ({ topics }) => [...topics].sort().join())
      for (const equals of alike.values()) {
        const loads = equals.map(({ memberId }) => load(memberId))
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1)
      }
    })
  )
})

test('depends on the members, not on their order', () => {
  fc.assert(
    fc.property(members, counts, (group: readonly SubscribedMember[], sizes) => {
      const sorted = (shares: ReturnType<typeof assignPartitions>) =>
        flatten(shares)
          .map(({ memberId, topic, partition }) => `${memberId} ${topic}:${partition}`)
          .sort()
      expect(sorted(assignPartitions(group.toReversed(), sizes))).toEqual(sorted(assignPartitions(group, sizes)))
    })
  )
})

test('answers members without a partition with an empty share', () => {
  const shares = assignPartitions(
    [
      { memberId: 'm1', topics: ['a'] },
      { memberId: 'm2', topics: ['a'] },
      { memberId: 'm3', topics: [] }
    ],
    new Map([['a', 1]])
  )
  expect([...shares].map(([memberId, topics]) => [memberId, [...topics]])).toEqual([
    ['m1', [['a', [0]]]],
    ['m2', []],
    ['m3', []]
  ])
})

test('places what only some can read first, so that the rest can be balanced around it', () => {
  const group = [
    { memberId: 'm1', topics: ['a'] },
    { memberId: 'm2', topics: ['a', 'b'] }
  ]
  const shares = assignPartitions(
    group,
    new Map([
      ['a', 2],
      ['b', 2]
    ])
  )
  expect([...shares].map(([memberId, topics]) => [memberId, [...topics]])).toEqual([
    ['m1', [['a', [0, 1]]]],
    ['m2', [['b', [0, 1]]]]
  ])
})
