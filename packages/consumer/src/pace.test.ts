import { expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createPacedHandle } from './pace.ts'
import type { Behind } from './replay-client.ts'

const batch = { topic: 'events.a', partition: 0, items: ['x'] } as never

it('tells once of a long wait for live reading, and begins when that is through', async () => {
  const clock = createManualClock(0)
  let behind: Behind = { ms: 501, partition: 'events.b:3' }
  const told: Behind[] = []
  const handled: unknown[] = []
  const paced = createPacedHandle<string>(
    async ({ items }) => {
      handled.push(...items)
      return []
    },
    {
      clock,
      perSecond: () => undefined,
      behind: () => behind,
      giveWayMs: 500,
      onLongWait: (found) => void told.push(found),
      isEnding: () => false
    }
  )
  let steps = 0
  const running = paced(batch, { signal: new AbortController().signal, progress: () => void steps++ } as never)
  await clock.advance(29_900)
  expect(told).toEqual([])
  await clock.advance(60_000)
  expect([told, handled]).toEqual([[{ ms: 501, partition: 'events.b:3' }], []])
  behind = { ms: 500, partition: 'events.b:3' }
  await clock.advance(50)
  await running
  expect(handled).toEqual(['x'])
  expect(steps).toBeGreaterThan(1_000)
})
