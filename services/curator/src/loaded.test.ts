import { describe, expect, it } from 'vitest'
import { createIsLoaded } from './loaded.ts'

const range = (partition: number, start: bigint, end: bigint) => ({ topic: 'events.shop', partition, start, end })

function admin(committed: readonly (readonly [number, bigint])[], firsts: readonly (readonly [number, bigint])[]) {
  return {
    listTopics: () => Promise.resolve(['events.shop']),
    ranges: () => Promise.resolve([range(0, 5n, 20n), range(1, 0n, 0n)]),
    offsetsAt: () => Promise.resolve(new Map(firsts)),
    groupOffsets: () => Promise.resolve(new Map(committed))
  }
}
const isLoaded = (...given: Parameters<typeof admin>): Promise<boolean> =>
  createIsLoaded(admin(...given), 'load')('shop', 1_000)

describe('whether the warehouse has everything up to a time', () => {
  it('is so when the loaders committed every record appended before it', async () => {
    expect(
      await isLoaded(
        [[0, 10n]],
        [
          [0, 10n],
          [1, 0n]
        ]
      )
    ).toBe(true)
    expect(
      await isLoaded(
        [[0, 9n]],
        [
          [0, 10n],
          [1, 0n]
        ]
      )
    ).toBe(false)
  })

  it('takes all of the log when nothing was appended since', async () => {
    expect(
      await isLoaded(
        [[0, 19n]],
        [
          [0, 20n],
          [1, 0n]
        ]
      )
    ).toBe(false)
    expect(
      await isLoaded(
        [[0, 20n]],
        [
          [0, 20n],
          [1, 0n]
        ]
      )
    ).toBe(true)
  })

  it('is not so for a log that no loader has committed anything of', async () => {
    expect(
      await isLoaded(
        [],
        [
          [0, 20n],
          [1, 0n]
        ]
      )
    ).toBe(false)
    expect(
      await isLoaded(
        [],
        [
          [0, 5n],
          [1, 0n]
        ]
      )
    ).toBe(true)
  })

  it('is not so while the log has forgotten records that the loaders did not have', async () => {
    const firsts = [
      [0, 5n],
      [1, 0n]
    ] as const
    expect(await isLoaded([[0, 4n]], firsts)).toBe(false)
    expect(await isLoaded([[0, 5n]], firsts)).toBe(true)
  })

  it('is so for a project without a log', async () => {
    const none = { ...admin([], []), listTopics: () => Promise.resolve([]) }
    expect(await createIsLoaded(none, 'load')('shop', 1_000)).toBe(true)
  })

  it('is not so while a letter that was sent once more before it has not been loaded', async () => {
    const asked = async (committed: bigint): Promise<boolean> => {
      const log = {
        listTopics: () => Promise.resolve(['events.shop', 'redrive.load', 'redrive.process']),
        ranges: (topic: string) => Promise.resolve([{ topic, partition: 0, start: 0n, end: 3n }]),
        offsetsAt: () => Promise.resolve(new Map([[0, 3n]])),
        groupOffsets: (_group: string, topic: string) =>
          Promise.resolve(new Map([[0, topic === 'redrive.load' ? committed : 3n]]))
      }
      return await createIsLoaded(log, 'load')('shop', 1_000)
    }
    expect([await asked(2n), await asked(3n)]).toEqual([false, true])
  })

  it('is so when the log forgot all letters that were sent once more, which is counted once, and not while it has some', async () => {
    const asked = async (start: bigint, end: bigint, forgotten: string): Promise<unknown> => {
      const heard: number[] = []
      const log = {
        listTopics: () => Promise.resolve(['events.shop', 'redrive.load']),
        ranges: (topic: string) =>
          Promise.resolve([
            topic === forgotten ? { topic, partition: 0, start, end } : { topic, partition: 0, start: 0n, end: 0n }
          ]),
        offsetsAt: () => Promise.resolve(new Map<number, bigint>()),
        groupOffsets: () => Promise.resolve(new Map([[0, 2n]]))
      }
      const isLoaded = createIsLoaded(log, 'load', (letters) => heard.push(letters))
      return [await isLoaded('shop', 1_000), await isLoaded('shop', 2_000), heard]
    }
    expect(await asked(5n, 5n, 'redrive.load')).toEqual([true, true, [3]])
    expect(await asked(5n, 6n, 'redrive.load')).toEqual([false, false, []])
    expect(await asked(5n, 5n, 'events.shop')).toEqual([false, false, []])
  })
})
