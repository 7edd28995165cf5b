import { describe, expect, it } from 'vitest'
import { attemptScript } from '../test/attempt-script.ts'
import type { AttemptScript } from '../test/attempt-script.ts'
import { explore } from '../test/explore-attempts.ts'
import type { Store } from '../test/explore-attempts.ts'

/** Other protocols, as the same questions in another order. */
const protocol = (
  steps: Readonly<Record<string, 'reserve' | 'publish' | 'commit' | 'stored' | 'retry'>>
): AttemptScript => new Map(Object.entries(steps))

/** A store that only knows marks: `reserve` looks. */
const marksOnly: Store = (mark, question, reply) =>
  question === 'reserve'
    ? reply === (mark === 'stored' ? 'duplicate' : 'new')
      ? mark
      : undefined
    : question === 'commit'
      ? 'stored'
      : mark

/** A store whose `reserve` sets the mark at once. */
const setIfNew: Store = (mark, _question, reply) =>
  reply === (mark === 'stored' ? 'duplicate' : 'new') ? 'stored' : undefined

describe('an attempt of this gateway', () => {
  it('commits after an ack alone, releases after a refusal alone, and answers "stored" to nothing but ack and duplicate', async () => {
    const script = await attemptScript()
    const ends = (told: string): readonly string[] =>
      [...script].flatMap(([history, next]) => (next === told ? history : []))
    expect(ends('commit')).toEqual(['new acked'])
    expect(ends('release').toSorted()).toEqual(['new refused', 'new unavailable'])
    expect(ends('stored').toSorted()).toEqual(['duplicate', 'failed acked', 'new acked done', 'new acked failed'])
  })
})

describe('three attempts of this gateway at one event', () => {
  it('never tell anybody "stored" of an event that is not in the log, and make one copy but for a counted excuse', async () => {
    const { worlds, ...found } = explore(await attemptScript())
    expect(found).toEqual({ lost: 0, maxCopies: 3, unexplainedCopies: 0, copiesWithoutExcuse: 1 })
    expect(worlds).toBeGreaterThan(50_000)
  })
})

describe('the exploration', () => {
  it('finds the losses of a mark that is set before the event is published', async () => {
    const setBefore = protocol({
      '': 'reserve',
      new: 'publish',
      duplicate: 'stored',
      failed: 'publish',
      ...Object.fromEntries(
        ['new', 'failed'].flatMap((at) => [
          [`${at} acked`, 'stored'],
          ...['unknown', 'refused', 'unavailable'].map((reply) => [`${at} ${reply}`, 'retry'])
        ])
      )
    })
    expect(explore(setBefore, setIfNew).lost).toBe(1)
  })

  it('finds the copies of attempts that only look for marks', async () => {
    const { lost, copiesWithoutExcuse } = explore(await attemptScript(), marksOnly)
    expect({ lost, copiesWithoutExcuse }).toEqual({ lost: 0, copiesWithoutExcuse: 3 })
  })

  it.each(['gateway-dedup-before-ack', 'gateway-busy-is-duplicate'])('finds the losses of %s', async (bug) => {
    expect(explore(await attemptScript(new Set([bug]))).lost).toBe(1)
  })
})
