import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import type { Entry } from './envelope.ts'
import { createLocalAnswers } from './local-answers.ts'

const entry = (key: string, bytes = 500, projectId = 'shop', generation = ''): Entry => ({
  projectId,
  key,
  generation,
  status: 200,
  contentType: 'application/json',
  queryId: 'q',
  madeAtMs: 0,
  costMs: 1,
  freshUntilMs: 1,
  staleUntilMs: 1_000,
  body: Buffer.alloc(bytes)
})

describe('local answers', () => {
  it('hold so many bytes and let go of what was used least recently', () => {
    const local = createLocalAnswers(8_000, createManualClock(0))
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) local.set(entry(key))
    expect(local.bytes).toBe(8_000)
    local.get('a')
    local.set(entry('i'))
    expect([local.get('a')?.key, local.get('b'), local.get('i')?.key, local.bytes]).toEqual([
      'a',
      undefined,
      'i',
      8_000
    ])
  })

  it('count an answer that is set again once, and keep none that takes most of the room', () => {
    const local = createLocalAnswers(8_000, createManualClock(0))
    local.set(entry('a'))
    local.set(entry('a', 400))
    expect(local.bytes).toBe(900)
    local.set(entry('a', 2_000))
    expect([local.get('a'), local.bytes]).toEqual([undefined, 0])
  })

  it('forget the answers of a project whose generation has changed', () => {
    const local = createLocalAnswers(80_000, createManualClock(0))
    local.set(entry('a', 10, 'shop', 'one'))
    local.set(entry('b', 10, 'blog', 'one'))
    local.keepOnly('shop', 'one')
    expect(local.get('a')).toBeDefined()
    local.keepOnly('shop', 'two')
    expect([local.get('a'), local.get('b')?.key]).toEqual([undefined, 'b'])
  })

  it('forget what is of no use any more, also without being asked for it', async () => {
    const clock = createManualClock(0)
    const local = createLocalAnswers(80_000, clock)
    for (const key of ['a', 'b', 'c']) local.set(entry(key))
    await clock.advance(1_000)
    expect([local.get('b'), local.bytes]).toEqual([undefined, 2_000])
    local.set({ ...entry('d'), staleUntilMs: 5_000 })
    expect([local.bytes, local.get('d')?.key]).toEqual([1_000, 'd'])
  })
})
