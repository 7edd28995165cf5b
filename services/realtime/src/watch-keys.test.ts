import { AppError, createManualClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { describe, expect, it } from 'vitest'
import { watchKeys } from './watch-keys.ts'

describe('watchKeys', () => {
  it('ends the connections of ended keys, asks for nothing without any, and keeps all while nobody answers', async () => {
    const clock = createManualClock()
    const stop = new AbortController()
    const open = new Set<string>()
    const asked: string[][] = []
    const ended: string[] = []
    let answer = async (keyIds: readonly string[]) => new Set(keyIds.filter((id) => id === 'old'))
    const watching = watchKeys({
      sockets: { keyIds: () => open, endKeys: (keyIds) => ended.push(...keyIds) },
      endedOf: (keyIds) => {
        asked.push([...keyIds])
        return answer(keyIds)
      },
      clock,
      everyMs: 1_000,
      log: createSilentLogger(),
      signal: stop.signal
    })
    await clock.advance(2_000)
    expect(asked).toEqual([])
    open.add('old').add('new')
    const plain = answer
    answer = () => Promise.reject(new AppError('PIPE_POSTGRES_UNAVAILABLE', 'away'))
    await clock.advance(2_000)
    expect(ended).toEqual([])
    answer = plain
    await clock.advance(1_000)
    expect(asked.at(-1)).toEqual(['old', 'new'])
    expect(ended).toEqual(['old'])
    stop.abort()
    await clock.advance(1_000)
    await watching
  })
})
