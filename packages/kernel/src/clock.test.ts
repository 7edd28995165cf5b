import { describe, expect, it } from 'vitest'
import { createManualClock } from './manual-clock.ts'
import { systemClock } from './clock.ts'

describe('manual clock', () => {
  it('fires timers in due order and at their own time', async () => {
    const clock = createManualClock(1_000)
    const fired: [string, number][] = []
    clock.timer(20, () => fired.push(['b', clock.now()]))
    clock.timer(10, () => fired.push(['a', clock.now()]))
    clock.timer(30, () => fired.push(['c', clock.now()]))
    await clock.advance(25)
    expect(fired).toEqual([
      ['a', 1_010],
      ['b', 1_020]
    ])
    expect([clock.now(), clock.pending()]).toEqual([1_025, 1])
  })

  it('fires a timer that a timer set, when it is due within the same advance', async () => {
    const clock = createManualClock(0)
    const fired: number[] = []
    clock.timer(10, () => clock.timer(10, () => fired.push(clock.now())))
    await clock.advance(20)
    expect(fired).toEqual([20])
  })

  it('forgets a disposed timer', async () => {
    const clock = createManualClock(0)
    const fired: number[] = []
    clock.timer(10, () => fired.push(1))[Symbol.dispose]()
    await clock.advance(100)
    expect(fired).toEqual([])
  })
})

describe('system clock', () => {
  it('rejects a sleep whose signal aborted before', async () => {
    await expect(systemClock.sleep(1, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
  })

  it('rejects a sleep when its signal aborts', async () => {
    const controller = new AbortController()
    const slept = systemClock.sleep(60_000, controller.signal)
    controller.abort(new Error('gone'))
    await expect(slept).rejects.toThrow('gone')
  })
})
