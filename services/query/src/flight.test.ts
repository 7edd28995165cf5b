import { describe, expect, it } from 'vitest'
import { createFlights } from './flight.ts'

function setup() {
  const flights = createFlights<string>()
  const runs: { readonly signal: AbortSignal; readonly end: PromiseWithResolvers<string> }[] = []
  const join = (key = 'k') => {
    const client = new AbortController()
    const result = flights
      .join(key, client.signal, (signal) => {
        const end = Promise.withResolvers<string>()
        runs.push({ signal, end })
        return end.promise
      })
      .catch((error: unknown) => error)
    return { result, leave: () => client.abort(new Error('left')) }
  }
  return { flights, runs, join }
}

describe('flights', () => {
  it('runs equal work once and different work apart', async () => {
    const { flights, runs, join } = setup()
    const all = [join(), join(), join('other'), join()]
    expect([runs.length, flights.size]).toEqual([2, 2])
    runs[0]?.end.resolve('a')
    runs[1]?.end.resolve('b')
    expect(await Promise.all(all.map(({ result }) => result))).toEqual(['a', 'a', 'b', 'a'])
    expect(flights.size).toBe(0)
    join()
    expect(runs.length).toBe(3)
  })

  it('hands an error to all who wait, and forgets it', async () => {
    const { runs, join } = setup()
    const all = [join(), join()]
    runs[0]?.end.reject(new Error('boom'))
    for (const { result } of all) expect(await result).toMatchObject({ message: 'boom' })
    join()
    expect(runs.length).toBe(2)
  })

  it('goes on while one still waits and is aborted when the last one leaves', async () => {
    const { flights, runs, join } = setup()
    const [first, second] = [join(), join()]
    first.leave()
    expect(await first.result).toMatchObject({ message: 'left' })
    expect(runs[0]?.signal.aborted).toBe(false)
    second.leave()
    expect(await second.result).toMatchObject({ message: 'left' })
    expect([runs[0]?.signal.aborted, flights.size]).toEqual([true, 0])
    join()
    expect(runs.length).toBe(2)
  })

  it('runs work behind that nobody aborts, and lets others join it', async () => {
    const { flights, runs, join } = setup()
    const end = Promise.withResolvers<string>()
    flights.behind('k', () => end.promise)
    flights.behind('k', () => Promise.reject(new Error('a second one')))
    const joined = join()
    const left = join()
    left.leave()
    await left.result
    end.resolve('fresh')
    expect([await joined.result, runs.length, flights.size]).toEqual(['fresh', 0, 0])
  })

  it('tells whether what can be joined has begun, of that flight alone', async () => {
    const flights = createFlights<string>()
    const begin: (() => void)[] = []
    const ends: PromiseWithResolvers<string>[] = []
    const join = (signal = new AbortController().signal) =>
      flights
        .join('k', signal, (_given, onBegun) => {
          const end = Promise.withResolvers<string>()
          begin.push(onBegun)
          ends.push(end)
          return end.promise
        })
        .catch(String)
    const leaving = new AbortController()
    const left = join(leaving.signal)
    expect(flights.hasBegun('k')).toBe(false)
    begin[0]?.()
    expect([flights.hasBegun('k'), flights.hasBegun('other')]).toEqual([true, false])
    leaving.abort('left')
    await left
    const second = join()
    begin[0]?.()
    expect(flights.hasBegun('k')).toBe(false)
    begin[1]?.()
    // The end of one that was given up is not that of the next.
    ends[0]?.resolve('late')
    await ends[0]?.promise
    expect(flights.hasBegun('k')).toBe(true)
    ends[1]?.resolve('a')
    expect([await second, flights.hasBegun('k')]).toEqual(['a', false])
  })

  it('shares a result with each who waits, and ends it when all have it', async () => {
    const log: string[] = []
    const flights = createFlights<string>({
      onShare: (it) => log.push(`share ${it}`),
      onEnd: (it) => log.push(`end ${it}`)
    })
    const end = Promise.withResolvers<string>()
    const join = (signal = new AbortController().signal) => flights.join('k', signal, () => end.promise).catch(String)
    const leaving = new AbortController()
    const all = [join(), join(leaving.signal), join()]
    leaving.abort('left')
    await all[1]
    end.resolve('a')
    expect(await Promise.all(all)).toEqual(['a', 'left', 'a'])
    expect(log).toEqual(['share a', 'share a', 'end a'])
  })

  it('ends a result that nobody waits for any more', async () => {
    const ended: string[] = []
    const flights = createFlights<string>({ onShare: () => ended.push('shared'), onEnd: (it) => ended.push(it) })
    const end = Promise.withResolvers<string>()
    const leaving = new AbortController()
    const left = flights.join('k', leaving.signal, () => end.promise).catch(String)
    leaving.abort('left')
    expect([await left, ended]).toEqual(['left', []])
    end.resolve('late')
    await end.promise
    expect(ended).toEqual(['late'])
  })
})
