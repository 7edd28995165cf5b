import { describe, expect, it } from 'vitest'
import { AppError, done } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { ConsumerClient, MemoryCluster } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { createStage, partition, settle } from '../docs/setup.ts'
import type { Stage } from '../docs/setup.ts'
import type { Consumer, ConsumerDef } from './definition.ts'
import { startGroupWorker } from './group-worker.ts'
import { noOrders } from './replay-order.ts'
import type { GroupDesk, GroupOrders, ReplayOrder } from './replay-order.ts'
import { fixedTopics } from './topic-set.ts'

interface Desk extends GroupDesk {
  decide(orders: GroupOrders | Error): void
  /** Somebody let the group go on that long ago; from then on the time passes. */
  resume(agoMs: number): void
  /** How often the desk does not take that a replay failed. */
  deaf: number
  readonly failures: { readonly id: string; readonly error: unknown }[]
}

function createDesk(clock?: Clock): Desk {
  let now: GroupOrders | Error = noOrders
  let resumedAtMs: number | undefined
  const failures: { id: string; error: unknown }[] = []
  return {
    failures,
    decide(orders) {
      now = orders
    },
    async orders() {
      if (now instanceof Error) throw now
      return now
    },
    deaf: 0,
    resume(agoMs) {
      resumedAtMs = (clock?.monotonic() ?? 0) - agoMs
    },
    async resumedAgoMs() {
      return resumedAtMs === undefined ? undefined : (clock?.monotonic() ?? 0) - resumedAtMs
    },
    async failed(id, error) {
      if (this.deaf-- > 0) throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'no answer')
      failures.push({ id, error })
    }
  }
}

interface Started {
  readonly consumer: Consumer
  readonly desk: Desk
  /** Texts handled so far, replays apart. */
  readonly live: string[]
  readonly replayed: string[]
}

interface Options {
  readonly desk?: Desk
  readonly handle?: ConsumerDef<string>['handle']
  /** Of live reading; `handle` is that of a replay. */
  readonly live?: ConsumerDef<string>['handle']
  readonly giveWayMs?: number
  readonly signal?: AbortSignal
  readonly client?: ConsumerClient
}

async function start(
  stage: Stage,
  { desk = createDesk(), handle, live: liveHandle, giveWayMs, signal, client = stage.cluster.client() }: Options = {}
): Promise<Started> {
  const live: string[] = []
  const replayed: string[] = []
  const into = (texts: string[]): ConsumerDef<string>['handle'] => {
    return async ({ items }) => {
      texts.push(...items)
      return items.map(() => done)
    }
  }
  const consumer = await startGroupWorker<string>(
    {
      name: 'test',
      group: 'g',
      topics: fixedTopics(['events.a'], 'redrive.g'),
      policy: { maxRows: 3, maxBytes: 1_000_000, maxAgeMs: 100, scope: 'lane' },
      decode: ({ value }) => {
        const item = value?.toString() ?? ''
        if (item === 'bad') return { kind: 'dead', reason: 'parse', cause: new Error('bad') }
        return { kind: 'item', item }
      },
      handle: liveHandle ?? into(live)
    },
    {
      client,
      ...(signal === undefined ? {} : { signal }),
      letters: {
        producer: stage.cluster.producer,
        topicFor: (topic) => topic.replace('events.', 'events.dlq.'),
        appVersion: '1'
      },
      log: createSilentLogger(),
      registry: stage.registry,
      clock: stage.clock,
      random: () => 0.5
    },
    {
      desk,
      askEveryMs: 1_000,
      replaying: { handle: handle ?? into(replayed) },
      ...(giveWayMs === undefined ? {} : { giveWayMs })
    }
  )
  await settle()
  return { consumer, desk, live, replayed }
}

const order = (change: Partial<ReplayOrder> = {}): GroupOrders => ({
  heldForMs: 0,
  replay: {
    id: '1',
    group: 'g-replay',
    topic: 'events.a',
    ends: new Map([[0, 4n]]),
    perSecond: undefined,
    ...change
  }
})

/** A stop waits for the next look of the pace. */
async function stop(stage: Stage, consumer: Consumer): Promise<void> {
  const stopped = consumer[Symbol.asyncDispose]()
  await stage.advance(1_000)
  await stopped
}

async function place(cluster: MemoryCluster, offset: bigint): Promise<void> {
  await cluster.admin.setGroupOffsets('g-replay', 'events.a', new Map([[0, offset]]))
}

describe('the worker of a group that can be replayed', () => {
  it('joins only after it asked whether the group is held, and stays out until it is not', async () => {
    const stage = await createStage()
    const desk = createDesk()
    desk.decide({ heldForMs: 5_000, replay: undefined })
    stage.append(0, 'a', 'b', 'c')
    const { consumer, live } = await start(stage, { desk })
    await stage.advance(3_000)
    expect([live, consumer.ready(), consumer.live()]).toEqual([[], false, true])
    await stage.cluster.admin.setGroupOffsets('g', 'events.a', new Map([[0, 1n]]))
    desk.decide(noOrders)
    await stage.advance(1_200)
    expect(live).toEqual(['b', 'c'])
    expect(consumer.ready()).toBe(true)
    await consumer[Symbol.asyncDispose]()
  })

  it('leaves a held group with its effects and then its commit behind it', async () => {
    const stage = await createStage()
    const { consumer, desk, live } = await start(stage)
    stage.append(0, 'a', 'b')
    await settle()
    expect(live).toEqual([])
    desk.decide({ heldForMs: 60_000, replay: undefined })
    await stage.advance(1_000)
    expect([live, stage.committed()]).toEqual([['a', 'b'], 2n])
    // Only the broker knows for certain: it takes positions when nobody is in the group.
    await expect(stage.cluster.admin.setGroupOffsets('g', 'events.a', new Map([[0, 0n]]))).resolves.toBeUndefined()
    desk.decide(noOrders)
    await stage.advance(1_200)
    expect(live).toEqual(['a', 'b', 'a', 'b'])
    await consumer[Symbol.asyncDispose]()
  })

  it('believes a hold no longer than it was given for, and works when nobody can be asked', async () => {
    const stage = await createStage()
    const desk = createDesk()
    desk.decide({ heldForMs: 5_000, replay: undefined })
    stage.append(0, 'a', 'b', 'c')
    const { consumer, live } = await start(stage, { desk })
    desk.decide(new AppError('PIPE_POSTGRES_UNAVAILABLE', 'no answer'))
    await stage.advance(4_000)
    expect(live).toEqual([])
    await stage.advance(2_000)
    expect(live).toEqual(['a', 'b', 'c'])
    await consumer[Symbol.asyncDispose]()
    const alone = createDesk()
    alone.decide(new AppError('PIPE_POSTGRES_UNAVAILABLE', 'no answer'))
    const second = await start(stage, { desk: alone })
    stage.append(0, 'd', 'e', 'f')
    await settle()
    expect(second.live).toEqual(['d', 'e', 'f'])
    await second.consumer[Symbol.asyncDispose]()
  })

  it('reads a replay beside the live group, up to its end and not a record further', async () => {
    const stage = await createStage()
    const { consumer, desk, live, replayed } = await start(stage)
    stage.append(0, 'a', 'b', 'c', 'd', 'e', 'f')
    await settle()
    await place(stage.cluster, 1n)
    desk.decide(order())
    await stage.advance(1_500)
    expect(replayed).toEqual(['b', 'c', 'd'])
    expect(stage.cluster.committed('g-replay', partition(0))).toBe(4n)
    stage.append(0, 'g', 'h', 'i')
    await stage.advance(3_000)
    expect(replayed).toEqual(['b', 'c', 'd'])
    expect(live).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'])
    expect(stage.committed()).toBe(9n)
    await stage.advance(5_000)
    const lag = (): Promise<number | undefined> =>
      stage.metric('analytics_queue_depth', { group: 'g-replay', partition: '0' })
    expect(await lag()).toBe(0)
    desk.decide(noOrders)
    await stage.advance(1_500)
    await expect(place(stage.cluster, 0n)).resolves.toBeUndefined()
    expect(await lag()).toBeUndefined()
    await consumer[Symbol.asyncDispose]()
    await expect(consumer.done).resolves.toBeUndefined()
  })

  it('writes the letters of a replay under the ids of the live group', async () => {
    const stage = await createStage()
    stage.append(0, 'a', 'bad', 'c', 'd')
    const { consumer, desk } = await start(stage)
    await place(stage.cluster, 0n)
    desk.decide(order())
    await stage.advance(1_500)
    expect(stage.letters().map(({ letter }) => letter.id)).toEqual(['g:events.a:0:1', 'g:events.a:0:1'])
    await consumer[Symbol.asyncDispose]()
  })

  it('keeps to the rate, shared by the partitions that each worker holds', async () => {
    const stage = await createStage(2)
    stage.append(0, ...Array.from({ length: 30 }, (_, index) => `x${index}`))
    const { consumer, desk, replayed } = await start(stage)
    await place(stage.cluster, 0n)
    // Half of the partitions would be another worker's.
    const ends = new Map([
      [0, 30n],
      [7, 0n]
    ])
    desk.decide(order({ ends, perSecond: 6 }))
    await stage.advance(1_000)
    const before = replayed.length
    await stage.advance(5_000)
    expect(replayed.length - before).toBe(15)
    await stop(stage, consumer)
  })

  it('gives way while live reading is behind', async () => {
    const stage = await createStage()
    const desk = createDesk()
    stage.append(0, 'a', 'b', 'c', 'd', 'e', 'f')
    const { consumer, live, replayed } = await start(stage, { desk, giveWayMs: -1 })
    await place(stage.cluster, 0n)
    desk.decide(order())
    await stage.advance(5_000)
    expect([live.length, replayed]).toEqual([6, []])
    await stop(stage, consumer)
    expect(replayed).toEqual(['a', 'b', 'c', 'd'])
  })

  it('begins nothing of a replay while a live batch is stuck, and goes on when it is through', async () => {
    const stage = await createStage()
    let free = (): void => {}
    const stuck = new Promise<void>((resolve) => {
      free = resolve
    })
    const live: string[] = []
    const { consumer, desk, replayed } = await start(stage, {
      async live({ items }) {
        live.push(...items)
        if (items.includes('stuck')) await stuck
        return items.map(() => done)
      }
    })
    stage.append(0, 'a', 'b', 'c', 'd', 'e', 'f')
    await settle()
    stage.append(0, 'stuck')
    await stage.advance(1_000)
    expect(live).toContain('stuck')
    await place(stage.cluster, 0n)
    desk.decide(order())
    await stage.advance(5_000)
    expect(replayed).toEqual([])
    free()
    await stage.advance(1_000)
    expect(replayed).toEqual(['a', 'b', 'c', 'd'])
    await stop(stage, consumer)
  })

  it('reads all of a replay while members join its group and one leaves half-way', async () => {
    const stage = await createStage(2)
    const texts = (at: number): string[] => Array.from({ length: 30 }, (_, index) => `${at}:${index}`)
    for (const at of [0, 1]) stage.append(at, ...texts(at))
    const desk = createDesk()
    const read: string[] = []
    const slowly: ConsumerDef<string>['handle'] = async ({ items }, { signal }) => {
      await stage.clock.sleep(200, signal)
      read.push(...items)
      return items.map(() => done)
    }
    const first = await start(stage, { desk, handle: slowly })
    const ends = new Map([0, 1].map((at) => [at, 30n]))
    await stage.cluster.admin.setGroupOffsets('g-replay', 'events.a', new Map([0, 1].map((at) => [at, 0n])))
    desk.decide(order({ ends }))
    await stage.advance(1_700)
    const second = await start(stage, { desk, handle: slowly })
    await stage.advance(500)
    expect(read.length).toBeGreaterThan(0)
    expect(read.length).toBeLessThan(60)
    await stop(stage, first.consumer)
    await stage.advance(10_000)
    expect([...new Set(read)].toSorted()).toEqual([...texts(0), ...texts(1)].toSorted())
    for (const at of [0, 1]) expect(stage.cluster.committed('g-replay', partition(at))).toBe(30n)
    await stop(stage, second.consumer)
  })

  it('tells a replay that fails for the third time, and lives on', async () => {
    const stage = await createStage()
    stage.append(0, 'a', 'b', 'c', 'd')
    let calls = 0
    const bug = async (): Promise<never> => {
      calls++
      throw new Error('a bug')
    }
    const { consumer, desk, live } = await start(stage, { handle: bug })
    await place(stage.cluster, 0n)
    desk.decide(order())
    await stage.advance(10_000)
    expect([calls, desk.failures.map(({ id }) => id)]).toEqual([3, ['1']])
    stage.append(0, 'e', 'f')
    await stage.advance(1_000)
    expect([live.length, consumer.ready(), consumer.live()]).toEqual([6, true, true])
    await consumer[Symbol.asyncDispose]()
  })

  it('tells a replay that failed until the desk heard it', async () => {
    const stage = await createStage()
    stage.append(0, 'a', 'b', 'c', 'd')
    const bug = async (): Promise<never> => {
      throw new Error('a bug')
    }
    const { consumer, desk } = await start(stage, { handle: bug })
    desk.deaf = 2
    await place(stage.cluster, 0n)
    desk.decide(order())
    await stage.advance(10_000)
    expect([desk.deaf, desk.failures.map(({ id }) => id)]).toEqual([-1, ['1']])
    await consumer[Symbol.asyncDispose]()
  })

  it('hears that a replay is over and that the group is held while the replay cannot join', async () => {
    const stage = await createStage()
    const inner = stage.cluster.client()
    const away = new AppError('PIPE_KAFKA_UNAVAILABLE', 'no coordinator')
    const client: ConsumerClient = {
      join: async (options, handlers) => {
        if (options.groupId === 'g-replay') throw away
        return await inner.join(options, handlers)
      }
    }
    const { consumer, desk, live } = await start(stage, { client })
    desk.decide(order())
    await stage.advance(3_000)
    stage.append(0, 'a', 'b', 'c')
    await settle()
    expect([live, desk.failures]).toEqual([['a', 'b', 'c'], []])
    desk.decide({ heldForMs: 60_000, replay: undefined })
    await stage.advance(3_000)
    expect(consumer.ready()).toBe(false)
    desk.decide(order())
    await stage.advance(3_000)
    expect(consumer.ready()).toBe(true)
    await consumer[Symbol.asyncDispose]()
    await expect(consumer.done).resolves.toBeUndefined()
  })

  it('is not stopped by what is dead in a replay, nor says that live reading is', async () => {
    const stage = await createStage()
    stage.append(0, ...Array.from({ length: 300 }, () => 'bad'))
    await stage.cluster.admin.setGroupOffsets('g', 'events.a', new Map([[0, 300n]]))
    const { consumer, desk } = await start(stage)
    await place(stage.cluster, 0n)
    desk.decide(order({ ends: new Map([[0, 300n]]) }))
    await stage.advance(5_000)
    expect([stage.letters().length, stage.cluster.committed('g-replay', partition(0))]).toEqual([300, 300n])
    expect([consumer.stopped(), consumer.ready()]).toEqual([undefined, true])
    await consumer[Symbol.asyncDispose]()
  })

  it('ends with its signal, the replay too', async () => {
    const stage = await createStage()
    const ending = new AbortController()
    const { consumer, desk, replayed } = await start(stage, { signal: ending.signal })
    await place(stage.cluster, 0n)
    desk.decide(order())
    stage.append(0, 'a', 'b', 'c', 'd')
    await stage.advance(1_500)
    expect(replayed).toEqual(['a', 'b', 'c', 'd'])
    ending.abort()
    await stage.advance(1_500)
    await expect(consumer.done).resolves.toBeUndefined()
    for (const group of ['g', 'g-replay'])
      await expect(stage.cluster.admin.setGroupOffsets(group, 'events.a', new Map([[0, 0n]]))).resolves.toBeUndefined()
  })

  it('lets a stopped group go on when the desk says so after it stopped, but not for what was said before', async () => {
    const stage = await createStage()
    const desk = createDesk(stage.clock)
    desk.resume(0)
    const { consumer } = await start(stage, { desk })
    await stage.advance(1_500)
    stage.append(0, ...Array.from({ length: 120 }, () => 'bad'))
    await stage.advance(20_000)
    expect([consumer.stopped()?.limit, consumer.ready()]).toEqual(['share', false])
    await expect(consumer.checks.letters.run()).rejects.toThrow('too many dead letters')
    desk.resume(0)
    await stage.advance(20_000)
    expect([stage.letters().length, stage.committed(), consumer.stopped(), consumer.ready()]).toEqual([
      120,
      120n,
      undefined,
      true
    ])
    await consumer[Symbol.asyncDispose]()
  })

  it('goes on for an order that it hears of first, and late, and while nothing else is known', async () => {
    const stage = await createStage()
    const desk = createDesk(stage.clock)
    const { consumer } = await start(stage, { desk })
    stage.append(0, ...Array.from({ length: 120 }, () => 'bad'))
    await stage.advance(10_000)
    expect(consumer.stopped()?.limit).toBe('share')
    desk.decide(new AppError('PIPE_KAFKA_UNAVAILABLE', 'no answer'))
    desk.resume(5_000)
    await stage.advance(5_000)
    expect([stage.letters().length, consumer.stopped()]).toEqual([120, undefined])
    await consumer[Symbol.asyncDispose]()
  })
})
