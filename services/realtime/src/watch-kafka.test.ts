import { AppError, createManualClock } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { watchKafka } from './watch-kafka.ts'

describe('watchKafka', () => {
  it('tells of each change, a silent cluster included, until it is stopped', async () => {
    const clock = createManualClock()
    const stop = new AbortController()
    const changes: boolean[] = []
    let answer: () => Promise<number> = async () => 1
    const admin = { brokerCount: () => answer() }
    const watching = watchKafka({
      admin,
      clock,
      everyMs: 1_000,
      onChange: (isAway) => changes.push(isAway),
      signal: stop.signal
    })
    await clock.advance(3_000)
    expect(changes).toEqual([])
    answer = () => Promise.reject(new AppError('PIPE_KAFKA_UNAVAILABLE', 'away'))
    await clock.advance(3_000)
    expect(changes).toEqual([true])
    answer = async () => 1
    await clock.advance(3_000)
    expect(changes).toEqual([true, false])
    answer = () => new Promise(() => {})
    await clock.advance(3_000)
    expect(changes).toEqual([true, false, true])
    stop.abort()
    await clock.advance(3_000)
    await watching
  })
})
