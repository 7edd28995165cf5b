import { createManualClock } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { healParts } from './heal-parts.ts'

/** A stack whose restarts end as `outcomes` say, in turn; then well. */
function createWorld(outcomes: (Error | undefined)[] = []) {
  const clock = createManualClock()
  const restarts: { name: string; atMs: number }[] = []
  const said: string[] = []
  const stack = {
    restart: async (name: string) => {
      restarts.push({ name, atMs: clock.monotonic() })
      const outcome = outcomes.shift()
      if (outcome !== undefined) throw outcome
    }
  }
  return { clock, restarts, said, healer: healParts({ stack: () => stack, clock, say: (line) => said.push(line) }) }
}

describe('healParts', () => {
  it('starts a part again that died', async () => {
    const { clock, restarts, said, healer } = createWorld()
    healer.ended('kafka', 'SIGKILL')
    await clock.advance(500)
    expect(restarts).toEqual([{ name: 'kafka', atMs: 500 }])
    expect(said).toEqual(['kafka ended (SIGKILL); starting it again', 'kafka runs again'])
  })

  it('tries again, later each time, while one restart at a time runs', async () => {
    const { clock, restarts, said, healer } = createWorld([new Error('port taken\nsecond line')])
    healer.ended('postgres', 'exit code 1')
    healer.ended('postgres', 'exit code 1')
    await clock.advance(1_500)
    expect(restarts.map(({ atMs }) => atMs)).toEqual([500, 1_500])
    expect(said).toEqual([
      'postgres ended (exit code 1); starting it again',
      'postgres did not start again: port taken',
      'postgres runs again'
    ])
  })

  it('begins nothing once it is disposed', async () => {
    const { clock, restarts, healer } = createWorld()
    healer.ended('kafka', 'SIGKILL')
    await healer[Symbol.asyncDispose]()
    healer.ended('kafka', 'SIGKILL')
    await clock.advance(60_000)
    expect(restarts).toEqual([])
  })
})
