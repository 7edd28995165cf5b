import { describe, expect, it } from 'vitest'
import { createQueue } from './queue.ts'
import type { Entry } from './queue.ts'

const limits = { maxEvents: 3, maxBytes: 100 }

function entry(eventId: string, bytes = 10): Entry {
  const state = { failures: 0, order: 0, dueAt: 0, place: 'out' as const, beaconedUntil: -Infinity }
  return { eventId, text: '{}', bytes, done: new Promise(() => {}), settle: () => {}, ...state }
}

function filled(...bytes: number[]) {
  const queue = createQueue({ maxEvents: 10, maxBytes: 1_000 })
  const entries = bytes.map((size, index) => entry(String.fromCharCode(97 + index), size))
  for (const each of entries) queue.add(each, 50)
  return { queue, entries }
}

const idsOf = (entries: readonly Entry[]): string => entries.map(({ eventId }) => eventId).join('')

describe('the queue', () => {
  it('takes the oldest first, up to the count and the bytes of a request, and at least one', () => {
    const { queue } = filled(10, 10, 10, 10, 95, 10, 200)
    expect(['abc', 'd', 'e', 'f', 'g', ''].map(() => idsOf(queue.take(0, limits)))).toEqual([
      'abc',
      'd',
      'e',
      'f',
      'g',
      ''
    ])
  })

  it('is due when a batch is full, when the oldest has waited long enough, or when asked', () => {
    const { queue } = filled(10, 10)
    expect([queue.isDue(49, limits, 0), queue.isDue(50, limits, 0), queue.isDue(0, limits, 1)]).toEqual([
      false,
      true,
      true
    ])
    queue.add(entry('c'), 60)
    expect(queue.isDue(0, limits, 0)).toBe(true)
    const large = filled(60, 40).queue
    expect(large.isDue(0, limits, 0)).toBe(true)
  })

  it('forgets the bytes of what it gave out, so that the next batch fills up anew', () => {
    const { queue } = filled(90)
    queue.take(0, limits)
    queue.add(entry('b', 20), 50)
    expect([queue.isDue(0, limits, 1), queue.nextDueAt()]).toEqual([false, 50])
  })

  it('gives what was held only after its time, and before what is newer', () => {
    const { queue, entries } = filled(10, 10, 10, 10)
    const [a, b, c] = entries
    queue.take(0, limits)
    for (const each of [c, a, b]) if (each !== undefined) queue.hold(each, each === b ? 30 : 20)
    expect(idsOf(queue.take(10, limits))).toBe('d')
    expect([queue.nextDueAt(), queue.isDue(19, limits, 0), queue.isDue(20, limits, 0)]).toEqual([20, false, true])
    expect(idsOf(queue.take(20, limits))).toBe('ac')
    expect(idsOf(queue.take(30, limits))).toBe('b')
    expect(queue.nextDueAt()).toBeUndefined()
  })

  it('holds fresh ones back too', () => {
    const { queue, entries } = filled(60, 60)
    const [first] = entries
    if (first !== undefined) queue.hold(first, 100)
    expect(queue.isDue(0, limits, 0)).toBe(false)
    expect(idsOf(queue.take(0, limits))).toBe('b')
    expect(idsOf(queue.take(100, limits))).toBe('a')
  })

  it('has room again for what has settled, and never sees a settled one again', () => {
    const queue = createQueue({ maxEvents: 2, maxBytes: 100 })
    const [a, b, c] = [entry('a', 60), entry('b', 60), entry('c', 40)]
    expect([queue.add(a, 0), queue.add(b, 0), queue.add(c, 0), queue.add(entry('d', 0), 0)]).toEqual([
      true,
      false,
      true,
      false
    ])
    expect([queue.remove(a), queue.remove(a), queue.size, queue.newest()]).toEqual([true, false, 1, 2])
    queue.hold(a, 0)
    expect(queue.add(b, 0)).toBe(true)
    expect([idsOf(queue.take(0, limits)), idsOf(queue.entries())]).toEqual(['cb', 'cb'])
  })
})
