import { createManualClock } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { listenForStop, waitingParent } from './stop-signals.ts'

function createWorld(parentPid?: number) {
  const clock = createManualClock()
  const seconds: number[] = []
  const stop = listenForStop({ parentPid, clock, onSecond: () => seconds.push(clock.monotonic()) })
  return { clock, stop, seconds }
}

describe('listenForStop', () => {
  it('takes signals at the same moment for one, and a later one for the second', async () => {
    const { clock, stop, seconds } = createWorld()
    using _stop = stop
    process.emit('SIGINT')
    expect(stop.signal.reason).toBe('SIGINT')
    process.emit('SIGINT')
    process.emit('SIGTERM')
    await clock.advance(999)
    process.emit('SIGTERM')
    expect(seconds).toEqual([])
    await clock.advance(1)
    process.emit('SIGINT')
    expect(seconds).toEqual([1_000])
  })

  it('stops when the process that started it is gone', async () => {
    const { clock, stop, seconds } = createWorld(process.ppid + 1)
    using _stop = stop
    await clock.advance(0)
    expect(stop.signal.reason).toBe('the end of the process that started it')
    await clock.advance(5_000)
    expect(seconds).toEqual([])
  })

  it('stops when nobody reads its output any more, however often it writes', async () => {
    const { clock, stop, seconds } = createWorld()
    using _stop = stop
    process.stdout.emit('error', new Error('EIO'))
    expect(stop.signal.reason).toBe('its output is closed')
    await clock.advance(5_000)
    process.stderr.emit('error', new Error('EIO'))
    expect(seconds).toEqual([])
  })

  it('goes on while that process lives, and leaves no listener when it is disposed', async () => {
    const before = process.listenerCount('SIGINT')
    const { clock, stop } = createWorld(process.ppid)
    await clock.advance(5_000)
    expect(stop.signal.aborted).toBe(false)
    stop[Symbol.dispose]()
    await clock.advance(1_000)
    expect([process.listenerCount('SIGINT'), clock.pending()]).toEqual([before, 0])
  })

  it('knows the process that waits by its number, and no other', () => {
    expect(waitingParent({ MILLRACE_PARENT_PID: String(process.ppid) })).toBe(process.ppid)
    expect([waitingParent({}), waitingParent({ MILLRACE_PARENT_PID: '1000000000' })]).toEqual([undefined, undefined])
  })
})
