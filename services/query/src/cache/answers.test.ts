import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import type { AnswerCache } from './answer-cache.ts'
import { createAnswers } from './answers.ts'
import type { Question } from './answers.ts'
import { cacheKeyOf } from './cache-key.ts'
import type { Entry } from './envelope.ts'
import type { Kept } from './freshness.ts'
import { createLocalAnswers } from './local-answers.ts'

const times = { freshOpenMs: 30_000, freshClosedMs: 600_000, staleOpenMs: 600_000, ttlMs: 3_600_000, mistakeMs: 30_000 }
const away = new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'away')

type Over = Partial<Question> & {
  readonly took?: number
  readonly fails?: Error
  readonly kept?: Kept | undefined
  readonly status?: number
  readonly signal?: AbortSignal
}

/** One Redis; `process()` is one process that uses it. */
function setup() {
  const clock = createManualClock()
  const stored = new Map<string, Entry>()
  const locks = new Set<string>()
  const state = { isAway: false, generation: '', random: 0, refreshes: 0, writeMs: 0, hearMs: 0 }
  const cache: AnswerCache = {
    read: async (_projectId, key) => {
      if (state.isAway) return { kind: 'away' }
      const entry = stored.get(key)
      const isOfNow = entry?.generation === state.generation
      return { kind: 'read', generation: state.generation, entry: isOfNow ? entry : undefined, isLate: false }
    },
    generation: async () => {
      const { generation } = state
      if (state.hearMs > 0) await clock.sleep(state.hearMs)
      return state.isAway ? undefined : generation
    },
    write: async (entry) => {
      if (state.writeMs > 0) await clock.sleep(state.writeMs)
      if (!state.isAway) stored.set(entry.key, entry)
    },
    lock: async (key) => {
      if (state.isAway) return { kind: 'away' }
      if (locks.has(key)) return { kind: 'taken' }
      locks.add(key)
      return { kind: 'held', release: async () => void locks.delete(key) }
    },
    purge: async () => (state.generation += '+')
  }
  const made: string[] = []
  const process = () => {
    const answers = createAnswers({
      cache,
      local: createLocalAnswers(1_000_000, clock),
      clock,
      times,
      random: () => state.random,
      onRefresh: () => void state.refreshes++
    })
    return (over: Over = {}) => {
      const { took = 0, fails, status = 200, signal = new AbortController().signal, ...rest } = over
      const question: Question = {
        projectId: 'shop',
        key: 'query:{shop}:k',
        priority: 'normal',
        deadlineMs: 10_000,
        use: 'cache',
        allowStale: true,
        make: async (given, priority) => {
          made.push(priority)
          if (took > 0) await clock.sleep(took, given)
          if (fails !== undefined) throw fails
          const kept = 'kept' in over ? over.kept : 'open'
          return { status, contentType: 'application/json', queryId: `q${made.length}`, body: Buffer.from('x'), kept }
        },
        ...rest
      }
      return answers
        .ask(question, signal)
        .then(({ use, queryId }) => [use, queryId])
        .catch((error: unknown) => error)
    }
  }
  return { clock, state, stored, made, cache, process }
}

describe('answers', () => {
  it('are made once and then come from the cache until their time is over', async () => {
    const { clock, made, process } = setup()
    const ask = process()
    expect(await ask()).toEqual(['MISS', 'q1'])
    expect([await ask(), await process()()]).toEqual([
      ['HIT', 'q1'],
      ['HIT', 'q1']
    ])
    await clock.advance(29_999)
    expect(await ask()).toEqual(['HIT', 'q1'])
    await clock.advance(1)
    expect(await ask()).toEqual(['MISS', 'q2'])
    expect(made.length).toBe(2)
  })

  it('of five hundred equal questions at once, in two processes, are made once', async () => {
    const { clock, made, process } = setup()
    const [one, two] = [process(), process()]
    const all = Array.from({ length: 500 }, (_, index) => (index % 2 === 0 ? one : two)({ took: 100 }))
    for (let tick = 0; tick < 40; tick++) await clock.advance(10)
    const uses = (await Promise.all(all)).map((reply) => String(reply))
    expect([made.length, new Set(uses)]).toEqual([1, new Set(['MISS,q1', 'HIT,q1'])])
  })

  it('of a process that gives up are made by the next one', async () => {
    const { clock, made, process } = setup()
    const failing = process()({ took: 2_000, fails: away })
    await clock.advance(0)
    const others = [process()({ took: 10 }), process()({ took: 10 })]
    await clock.advance(1_990)
    expect(made.length).toBe(1)
    await clock.advance(300)
    expect(await failing).toBe(away)
    expect([(await Promise.all(others)).map((reply) => String(reply)).toSorted(), made.length]).toEqual([
      ['HIT,q2', 'MISS,q2'],
      2
    ])
  })

  it('that ran out of the time of who asked first are made once more for those who have time left', async () => {
    const { clock, made, process } = setup()
    const late = new AppError('PIPE_DEADLINE', 'over')
    const ask = process()
    const first = ask({ took: 100, fails: late, deadlineMs: 100 })
    const others = [ask({ took: 10 }), ask({ took: 10 }), ask({ took: 10, deadlineMs: 100 })]
    await clock.advance(100)
    await clock.advance(10)
    expect(await first).toBe(late)
    expect(await Promise.all(others)).toEqual([['MISS', 'q2'], ['MISS', 'q2'], late])
    expect(made.length).toBe(2)
    // A failure that is not one of time is that of all.
    const failing = [
      ask({ took: 10, use: 'anew', fails: away, allowStale: false }),
      ask({ use: 'anew', allowStale: false })
    ]
    await clock.advance(10)
    expect([await Promise.all(failing), made.length]).toEqual([[away, away], 3])
  })

  it('that are critical do not wait for another process that makes them in the background', async () => {
    const { clock, made, process } = setup()
    const background = process()({ took: 2_000, priority: 'background' })
    await clock.advance(0)
    const critical = process()
    const both = [critical({ took: 10, priority: 'critical' }), critical({ took: 10, priority: 'critical' })]
    await clock.advance(10)
    expect(await Promise.all(both)).toEqual([
      ['MISS', 'q2'],
      ['MISS', 'q2']
    ])
    await clock.advance(2_000)
    expect([await background, made]).toEqual([
      ['MISS', 'q2'],
      ['background', 'critical']
    ])
  })

  it('that were begun before a purge do not stand in after it', async () => {
    const { clock, state, cache, process } = setup()
    const ask = process()
    const under = ask({ took: 100 })
    await clock.advance(0)
    await cache.purge('shop')
    // Another question, so that this process hears of the purge.
    await ask({ key: 'query:{shop}:other' })
    await clock.advance(100)
    expect(await under).toEqual(['MISS', 'q2'])
    state.isAway = true
    expect(await ask({ fails: away })).toBe(away)
    // What is made without Redis is of the generation that is known.
    expect(await ask()).toEqual(['BYPASS', 'q4'])
    expect(await ask({ fails: away })).toEqual(['STALE', 'q4'])
  })

  it('that are asked for after a purge do not join one that was begun before it', async () => {
    const { clock, cache, process } = setup()
    const ask = process()
    await ask({ key: 'query:{shop}:other' })
    const before = ask({ took: 1_000 })
    await clock.advance(0)
    await cache.purge('shop')
    await ask({ key: 'query:{shop}:other' })
    const after = ask({ took: 100 })
    await clock.advance(3_000)
    expect([await before, await after].map((reply) => Array.isArray(reply) && reply[1])).toEqual(['q3', 'q4'])
  })

  it('that are asked for after a purge by another process do not join one that was begun before it', async () => {
    const { clock, cache, process } = setup()
    const ask = process()
    const before = ask({ took: 1_000 })
    await clock.advance(0)
    const beside = ask({ took: 1_000 })
    await clock.advance(0)
    await cache.purge('shop')
    const after = ask({ took: 100 })
    await clock.advance(3_000)
    expect((await Promise.all([before, beside, after])).map((reply) => Array.isArray(reply) && reply[1])).toEqual([
      'q1',
      'q1',
      'q2'
    ])
  })

  it('that are asked for after a purge do not join one that is made and is being stored', async () => {
    const { clock, cache, state, process } = setup()
    const ask = process()
    state.writeMs = 900
    const before = ask({ took: 10 })
    await clock.advance(10)
    await cache.purge('shop')
    const after = ask({ took: 10 })
    await clock.advance(3_000)
    expect([await before, await after]).toEqual([
      ['MISS', 'q1'],
      ['MISS', 'q2']
    ])
  })

  it('that are asked for after a purge do not join one beside which the same was renewed behind', async () => {
    const { clock, cache, state, made, process } = setup()
    const ask = process()
    const first = ask({ took: 1_000, priority: 'critical' })
    await clock.advance(28_500)
    await first
    state.random = 0.9
    expect(await ask({ took: 2_000, priority: 'critical' })).toEqual(['HIT', 'q1'])
    await clock.advance(1_500)
    const before = ask({ took: 2_000, priority: 'critical' })
    await clock.advance(600)
    expect(made).toEqual(['critical', 'background', 'critical'])
    await cache.purge('shop')
    const after = ask({ took: 10, priority: 'critical' })
    await clock.advance(3_000)
    await Promise.all([before, after])
    expect(made).toEqual(['critical', 'background', 'critical', 'critical'])
  })

  it('that would join one wait a quarter of a second to hear of a purge, not past their deadline or their caller', async () => {
    const { clock, cache, state, made, process } = setup()
    const ask = process()
    const short = { key: 'query:{shop}:short' }
    const first = [ask({ took: 300 }), ask({ ...short, took: 100 })]
    await clock.advance(0)
    await cache.purge('shop')
    state.hearMs = 1_000
    const timed = async (over: Parameters<typeof ask>[0]) => [await ask(over), clock.monotonic()]
    const leaving = new AbortController()
    const left = timed({ signal: leaving.signal })
    const joined = [timed({ ...short, deadlineMs: 50 }), timed({})]
    await clock.advance(20)
    leaving.abort('left')
    await clock.advance(2_000)
    expect(await left).toEqual(['left', 20])
    // What could not be heard in time is not made once more.
    expect([await Promise.all(first), await Promise.all(joined), made.length]).toEqual([
      [
        ['MISS', 'q2'],
        ['MISS', 'q2']
      ],
      [
        [['MISS', 'q2'], 100],
        [['MISS', 'q2'], 300]
      ],
      2
    ])
    expect(clock.pending()).toBe(0)
  })

  it('of mistakes are kept for half a minute, others that must not be kept never', async () => {
    const { clock, process } = setup()
    const ask = process()
    expect(await ask({ kept: 'mistake', status: 422 })).toEqual(['MISS', 'q1'])
    await clock.advance(29_000)
    expect(await ask()).toEqual(['HIT', 'q1'])
    await clock.advance(1_000)
    expect(await ask({ kept: undefined })).toEqual(['MISS', 'q2'])
    expect(await ask({ kept: undefined })).toEqual(['MISS', 'q3'])
  })

  it('are made without Redis, say so, and share what runs already', async () => {
    const { clock, state, made, process } = setup()
    state.isAway = true
    const ask = process()
    const all = [ask({ took: 10 }), ask({ took: 10 })]
    await clock.advance(10)
    expect([await Promise.all(all), made.length]).toEqual([
      [
        ['BYPASS', 'q1'],
        ['BYPASS', 'q1']
      ],
      1
    ])
    expect(await ask()).toEqual(['BYPASS', 'q2'])
  })

  it('that are old stand in while nothing else can be had, for who allows it', async () => {
    const { clock, state, process } = setup()
    const ask = process()
    await ask()
    await clock.advance(31_000)
    expect(await ask({ fails: away })).toEqual(['STALE', 'q1'])
    expect(await ask({ fails: away, allowStale: false })).toBe(away)
    // Of this process, when Redis is away too.
    state.isAway = true
    expect(await ask({ fails: away })).toEqual(['STALE', 'q1'])
    expect(await process()({ fails: away })).toBe(away)
    await clock.advance(600_000)
    expect(await ask({ fails: away })).toBe(away)
  })

  it('that are old never hide a mistake or a timeout', async () => {
    const { clock, process } = setup()
    const ask = process()
    await ask()
    await clock.advance(31_000)
    const timeout = new AppError('PIPE_CLICKHOUSE_QUERY', 'slow', { details: { code: 159 } })
    expect(await ask({ fails: timeout })).toBe(timeout)
  })

  it('are made anew or apart when that is asked for', async () => {
    const { made, stored, process } = setup()
    const ask = process()
    expect(await ask({ use: 'apart' })).toEqual(['BYPASS', 'q1'])
    expect(stored.size).toBe(0)
    expect(await ask()).toEqual(['MISS', 'q2'])
    expect(await ask({ use: 'anew' })).toEqual(['MISS', 'q3'])
    expect([await ask(), made.length]).toEqual([['HIT', 'q3'], 3])
  })

  it('are renewed behind by one reader before their time is over', async () => {
    const { clock, state, made, process } = setup()
    const ask = process()
    const first = ask({ took: 1_000 })
    await clock.advance(1_000)
    await first
    await clock.advance(27_500)
    expect([await ask(), made.length]).toEqual([['HIT', 'q1'], 1])
    state.random = 0.9
    expect([await ask({ took: 500 }), await ask({ took: 500 }), await process()({ took: 500 })]).toEqual([
      ['HIT', 'q1'],
      ['HIT', 'q1'],
      ['HIT', 'q1']
    ])
    await clock.advance(0)
    expect([made, state.refreshes]).toEqual([['normal', 'background'], 1])
    state.random = 0
    await clock.advance(1_600)
    expect(await ask()).toEqual(['HIT', 'q2'])
  })

  it('that were made before a purge do not count, those under way included', async () => {
    const { clock, cache, process } = setup()
    const ask = process()
    const under = ask({ took: 10 })
    await clock.advance(0)
    await cache.purge('shop')
    await clock.advance(10)
    expect(await under).toEqual(['MISS', 'q1'])
    expect(await ask()).toEqual(['MISS', 'q2'])
    expect(await ask()).toEqual(['HIT', 'q2'])
  })
})

describe('a key', () => {
  const parts = {
    projectId: 'shop',
    kind: 'sql1',
    schemaVersion: 's',
    sql: 'SELECT 1',
    params: { a: 1, b: 2 },
    format: 'json'
  }

  it('is the same for the same question, whatever the order of its values', () => {
    expect(cacheKeyOf({ ...parts, params: { b: 2, a: 1 } })).toBe(cacheKeyOf(parts))
    expect(cacheKeyOf(parts)).toMatch(/^query:\{shop\}:[\w-]{43}$/)
  })

  it.each([
    { projectId: 'blog' },
    { kind: 'sql2' },
    { schemaVersion: 't' },
    { sql: 'SELECT 2' },
    { params: { a: 1 } },
    { format: 'csv' }
  ])('is another one for %j', (other) => expect(cacheKeyOf({ ...parts, ...other })).not.toBe(cacheKeyOf(parts)))
})
