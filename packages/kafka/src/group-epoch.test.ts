// Which batches continue an assignment, and what ends it.
import { expect, test } from 'vitest'
import { createGroupEpoch } from './group-epoch.ts'

const p0 = { topic: 't', partition: 0 }
const p1 = { topic: 't', partition: 1 }
const newEpoch = () => createGroupEpoch({ memberId: 'm', generationId: 3, assignment: [p0, p1] })

test('takes a batch only when it was fetched from where the epoch stands', () => {
  const epoch = newEpoch()
  expect(epoch.take(p0, 0n, 5n)).toBe(false)
  epoch.move(p0, 0n)
  epoch.move(p1, 9n)
  expect(epoch.take(p0, 0n, 5n)).toBe(false)
  epoch.start()
  expect(epoch.take(p0, 0n, 5n)).toBe(true)
  expect(epoch.take(p0, 0n, 5n)).toBe(false)
  expect(epoch.take(p0, 7n, 9n)).toBe(false)
  expect(epoch.position(p0)).toBe(5n)
  expect(epoch.take(p1, 9n, 10n)).toBe(true)
})

test('takes nothing of a paused partition and nothing after its end', () => {
  const epoch = newEpoch()
  epoch.move(p0, 0n)
  epoch.move(p1, 0n)
  epoch.start()
  epoch.setPaused(p0, true)
  expect(epoch.take(p0, 0n, 1n)).toBe(false)
  epoch.setPaused(p0, false)
  expect(epoch.take(p0, 0n, 1n)).toBe(true)
  epoch.end()
  expect(epoch.take(p1, 0n, 1n)).toBe(false)
  epoch.start()
  expect(epoch.state()).toBe('over')
})

test('holds the partitions of its assignment and no others', () => {
  const epoch = newEpoch()
  expect([epoch.holds(p1), epoch.holds({ topic: 't', partition: 2 }), epoch.position(p0)]).toEqual([
    true,
    false,
    undefined
  ])
})
