import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createBulkhead } from './bulkhead.ts'
import type { Priority } from './bulkhead.ts'

interface Setup {
  readonly running: number
  readonly queued: number
  readonly waitMs?: number
  readonly runningOfProject?: number
}

function setup(options: Setup) {
  const clock = createManualClock()
  const refusals: Priority[] = []
  const onRefused = (priority: Priority): void => void refusals.push(priority)
  const bulkhead = createBulkhead({ waitMs: 2_000, runningOfProject: options.running, clock, onRefused, ...options })
  const task = (projectId = 'shop', priority: Priority = 'normal', signal = new AbortController().signal) => {
    const gate = Promise.withResolvers<string>()
    const state = { started: false, error: undefined as unknown }
    const work = async (): Promise<string> => {
      state.started = true
      return await gate.promise
    }
    const finished = bulkhead.run(work, { projectId, priority, signal }).catch((error: unknown) => {
      state.error = error
      return 'refused'
    })
    return { state, finished, end: () => gate.resolve('done') }
  }
  return { clock, bulkhead, task, refusals }
}

const started = (tasks: readonly { readonly state: { readonly started: boolean } }[]): boolean[] =>
  tasks.map(({ state }) => state.started)

describe('bulkhead', () => {
  it('runs as many at once as it has places, the others in the order they came', async () => {
    const { clock, bulkhead, task } = setup({ running: 1, queued: 2 })
    const [first, second, third] = [task(), task(), task()]
    await clock.advance(0)
    expect([first.state.started, second.state.started, bulkhead.inside, bulkhead.waiting]).toEqual([true, false, 1, 2])
    first.end()
    await clock.advance(0)
    expect([second.state.started, third.state.started]).toEqual([true, false])
    second.end()
    third.end()
    expect(await Promise.all([first.finished, second.finished, third.finished])).toEqual(['done', 'done', 'done'])
    expect([bulkhead.inside, bulkhead.waiting]).toEqual([0, 0])
  })

  it('refuses at once when the queue is full', async () => {
    const { clock, task, refusals } = setup({ running: 1, queued: 0 })
    const [first, second] = [task(), task()]
    await clock.advance(0)
    expect(second.state.error).toMatchObject({ code: 'PIPE_CLICKHOUSE_UNAVAILABLE', details: { reason: 'bulkhead' } })
    first.end()
    expect([await first.finished, refusals]).toEqual(['done', ['normal']])
  })

  it('refuses who waited too long, and gives the place to who still waits', async () => {
    const { clock, bulkhead, task } = setup({ running: 1, queued: 2, waitMs: 100 })
    const first = task()
    const second = task()
    await clock.advance(60)
    const third = task()
    await clock.advance(50)
    expect([second.state.error === undefined, bulkhead.waiting]).toEqual([false, 1])
    first.end()
    await clock.advance(0)
    expect(third.state.started).toBe(true)
    third.end()
    await third.finished
    expect(bulkhead.inside).toBe(0)
  })

  it('frees its place when the work fails', async () => {
    const { bulkhead } = setup({ running: 1, queued: 0 })
    const visitor = { projectId: 'shop', priority: 'normal', signal: new AbortController().signal } as const
    await expect(bulkhead.run(async () => Promise.reject(new Error('boom')), visitor)).rejects.toThrow('boom')
    expect(bulkhead.inside).toBe(0)
  })

  it('lets a client that went away leave the queue, which is no refusal', async () => {
    const { clock, bulkhead, task, refusals } = setup({ running: 1, queued: 1 })
    const first = task()
    const gone = new AbortController()
    const second = task('shop', 'normal', gone.signal)
    await clock.advance(0)
    gone.abort(new Error('client left'))
    await second.finished
    expect([second.state.error, bulkhead.waiting, refusals]).toMatchObject([{ message: 'client left' }, 0, []])
    first.end()
    await first.finished
  })

  it('runs no more of one project than it may have, and others beside it', async () => {
    const { clock, bulkhead, task } = setup({ running: 3, queued: 9, runningOfProject: 2 })
    const shop = [task('shop'), task('shop'), task('shop')]
    const blog = [task('blog'), task('blog')]
    await clock.advance(0)
    expect([started(shop), started(blog)]).toEqual([
      [true, true, false],
      [true, false]
    ])
    shop[0]?.end()
    await clock.advance(0)
    expect([started(shop), started(blog)]).toEqual([
      [true, true, true],
      [true, false]
    ])
    for (const each of [...shop, ...blog]) each.end()
    await clock.advance(0)
    expect([started(blog), bulkhead.inside]).toEqual([[true, true], 0])
  })

  it('lets what is critical go first and background work last', async () => {
    const { clock, task } = setup({ running: 1, queued: 9 })
    const first = task()
    const order: string[] = []
    const names = ['background', 'normal', 'critical', 'normal'] as const
    const tasks = names.map((priority) => task('shop', priority))
    for (const [index, each] of tasks.entries()) void each.finished.then(() => order.push(names[index] ?? ''))
    first.end()
    for (const each of tasks) each.end()
    await clock.advance(0)
    expect(order).toEqual(['critical', 'normal', 'normal', 'background'])
  })

  it('refuses background work first when it is full, and nothing for the sake of background work', async () => {
    const { clock, task, refusals } = setup({ running: 1, queued: 2 })
    const waiting = [task(), task('shop', 'background'), task()]
    await clock.advance(0)
    const critical = task('shop', 'critical')
    const late = task('shop', 'background')
    await clock.advance(0)
    expect([waiting[1]?.state.error, late.state.error, critical.state.error]).toMatchObject([
      { details: { reason: 'bulkhead' } },
      { details: { reason: 'bulkhead' } },
      undefined as never
    ])
    expect(refusals).toEqual(['background', 'background'])
  })

  it('makes room for a project with few waiting at the cost of the one with the longest line', async () => {
    const { clock, task } = setup({ running: 1, queued: 3 })
    const greedy = [task('greedy'), task('greedy'), task('greedy'), task('greedy')]
    await clock.advance(0)
    const modest = task('modest')
    const again = task('greedy')
    await clock.advance(0)
    expect(greedy.map(({ state }) => state.error === undefined)).toEqual([true, true, true, false])
    expect([modest.state.error, again.state.error]).toMatchObject([undefined as never, { details: {} }])
    greedy[0]?.end()
    greedy[1]?.end()
    greedy[2]?.end()
    modest.end()
    expect(await modest.finished).toBe('done')
  })

  it('lets no project go before others by calling its work critical', async () => {
    const { clock, task } = setup({ running: 1, queued: 4 })
    const first = task('loud')
    const order: string[] = []
    const asked = [
      ['modest', 'normal'],
      ['loud', 'normal'],
      ['loud', 'critical'],
      ['modest', 'normal']
    ] as const
    const tasks = asked.map(([project, priority]) => task(project, priority))
    for (const [index, each] of tasks.entries())
      void each.finished.then((how) => how === 'done' && order.push(asked[index]?.join(' ') ?? ''))
    await clock.advance(0)
    // The queue is full: a project makes room for what is critical among its own alone.
    const [more, last] = [task('loud', 'critical'), task('loud', 'normal')]
    await clock.advance(0)
    expect([tasks[1]?.state.error, last.state.error]).toMatchObject([{ details: {} }, { details: {} }])
    first.end()
    for (const each of [...tasks, more]) each.end()
    await clock.advance(0)
    expect(order).toEqual(['modest normal', 'loud critical', 'modest normal'])
    expect(more.state.started).toBe(true)
  })
})
