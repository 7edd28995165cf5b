// A consumer that lives but does nothing is noticed, once.
import { createManualClock } from '@millrace/kernel'
import { expect, test } from 'vitest'
import { createWatchdog } from './watchdog.ts'

function setup() {
  const clock = createManualClock()
  const silences: number[] = []
  const onSilence = (ms: number): void => void silences.push(ms)
  const dog = createWatchdog({ clock, fetchLimitMs: 60_000, joinLimitMs: 90_000, onSilence })
  return { clock, silences, dog }
}

test('a fetching consumer is silent after its limit, a touched one is not', async () => {
  const { clock, silences, dog } = setup()
  dog.fetching()
  await clock.advance(55_000)
  dog.touch()
  await clock.advance(60_000)
  expect(silences).toEqual([])
  await clock.advance(5_000)
  expect(silences).toEqual([65_000])
  await clock.advance(600_000)
  expect(silences.length).toBe(1)
})

test('a join may take longer', async () => {
  const { clock, silences } = setup()
  await clock.advance(90_000)
  expect(silences).toEqual([])
  await clock.advance(5_000)
  expect(silences).toEqual([95_000])
})

test('nothing is noticed after the end', async () => {
  const { clock, silences, dog } = setup()
  dog[Symbol.dispose]()
  await clock.advance(600_000)
  expect([silences, clock.pending()]).toEqual([[], 0])
})
