import { expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { assigned, openHeld } from '../test/held.ts'
import { eachBounded } from './each-bounded.ts'
import { createPaced } from './pace.ts'

it('asks less and less while nothing is there, and at once when something was applied', async () => {
  const clock = createManualClock()
  const world = openHeld([0n])
  await world.projects.startAt(assigned(0))
  const live = world.live()
  let busy = false
  const asked: number[] = []
  const startedAtMs = clock.now()
  const paced = createPaced({
    clock,
    everyMs: 100,
    longestMs: 400,
    work: async () => {
      asked.push(clock.now() - startedAtMs)
      return busy
    }
  })
  const turn = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 100) {
      await paced(live)
      await clock.advance(100)
    }
  }
  await turn(1_500)
  expect(asked.splice(0)).toEqual([0, 100, 300, 700, 1_100])
  live.applied++
  await turn(200)
  expect(asked.splice(0)).toEqual([1_500, 1_600])
  busy = true
  await turn(400)
  expect(asked.splice(0)).toEqual([1_800, 1_900, 2_000])
})

it('runs the same work a few at a time, and begins nothing behind a failure', async () => {
  let running = 0
  let most = 0
  const begun: number[] = []
  const work = async (item: number): Promise<void> => {
    begun.push(item)
    most = Math.max(most, ++running)
    await Promise.resolve()
    running--
    if (item === 4) throw new Error('four')
  }
  await expect(eachBounded([1, 2, 3, 4, 5, 6, 7, 8], 2, work)).rejects.toThrow('four')
  expect(most).toBe(2)
  expect(begun.length).toBeLessThan(8)
  begun.length = 0
  await eachBounded([1, 2, 3], 8, work)
  expect(begun).toEqual([1, 2, 3])
})
