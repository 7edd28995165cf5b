import { expect, test } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createBoundedWait } from './bounded-wait.ts'

async function endedOf(waits: readonly Promise<void>[]): Promise<readonly boolean[]> {
  return await Promise.all(waits.map((wait) => Promise.race([wait.then(() => true), settled().then(() => false)])))
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await Promise.resolve()
}

test('a wait ends with its work, and the others with theirs', async () => {
  const within = createBoundedWait(createManualClock(), 50)
  const first = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  const waits = [within(first.promise), within(second.promise)]
  second.resolve()
  expect(await endedOf(waits)).toEqual([false, true])
  first.resolve()
  expect(await endedOf(waits)).toEqual([true, true])
})

test('work that takes too long is waited for as long as the limit, each from its own start', async () => {
  const clock = createManualClock()
  const within = createBoundedWait(clock, 50)
  const never = new Promise<void>(() => {})
  const early = within(never)
  await clock.advance(30)
  const late = within(never)
  await clock.advance(19)
  expect(await endedOf([early, late])).toEqual([false, false])
  await clock.advance(1)
  expect(await endedOf([early, late])).toEqual([true, false])
  await clock.advance(30)
  expect(await endedOf([early, late])).toEqual([true, true])
  const later = within(never)
  await clock.advance(50)
  expect(await endedOf([later])).toEqual([true])
})
