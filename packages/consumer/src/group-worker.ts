// The consumer of a group that can be replayed. It asks its desk, before it joins and then again and again, what is
// decided about the group, and does one of three things:
//
// | decided  | what happens                                                                                      |
// | nothing  | the group reads on                                                                                |
// | held     | intake ends, what is buffered has its effect and is committed, the group is left until it is over |
// | a replay | a second consumer of the same worker reads the part again under a group of its own, beside it     |
//
// A desk that does not answer changes nothing, and a hold ends by itself: an order is never worth a stopped group.
import { AppError, toError, withDeadline } from '@millrace/kernel'
import type { Consumer, ConsumerDef, ConsumerDeps } from './definition.ts'
import { createPacedHandle } from './pace.ts'
import { createBoundedClient, createWatchedClient } from './replay-client.ts'
import { noOrders } from './replay-order.ts'
import type { GroupDesk, GroupOrders, ReplayOrder } from './replay-order.ts'
import { lettersCheck, startConsumer } from './start-consumer.ts'
import { fixedTopics } from './topic-set.ts'

export interface GroupWorkerOptions<Item> {
  readonly desk: GroupDesk
  /** How often the desk is asked. */
  readonly askEveryMs: number
  /** What a replay does differently; default: nothing. */
  readonly replaying?: Partial<Pick<ConsumerDef<Item>, 'decode' | 'handle'>>
  /** A replay waits while live reading is further behind than this; default 1,000. */
  readonly giveWayMs?: number
}

/** The first answer is waited for this long; a worker that knows nothing works. */
const firstAnswerMs = 3_000
/** Times that a replay may fail in one process before it is given up. */
const attempts = 3

/**
 * Starts the consumer of `def` as `startConsumer` does, and obeys the desk. Ready while it is in the group. A replay that
 * fails is told to the desk and ends; live reading goes on. Throws what `startConsumer` throws.
 */
export async function startGroupWorker<Item>(
  def: ConsumerDef<Item>,
  deps: ConsumerDeps,
  options: GroupWorkerOptions<Item>
): Promise<Consumer> {
  const worker = new GroupWorker(def, deps, options)
  await worker.begin()
  return {
    ready: () => worker.ready(),
    live: () => worker.live(),
    rewind: (to) => worker.rewind(to),
    stopped: () => worker.stopped(),
    resume: () => worker.resume(),
    checks: lettersCheck(() => worker.stopped()),
    done: worker.done,
    [Symbol.asyncDispose]: () => worker.stop()
  }
}

class GroupWorker<Item> {
  readonly #def: ConsumerDef<Item>
  readonly #deps: ConsumerDeps
  readonly #options: GroupWorkerOptions<Item>
  readonly #watched: ReturnType<typeof createWatchedClient>
  readonly #done = Promise.withResolvers<void>()
  readonly #stopping = new AbortController()
  #orders: GroupOrders = noOrders
  /** Monotonic time until which the group is left alone. */
  #heldUntilMs = 0
  #live: Consumer | undefined
  #replay: { readonly id: string; readonly consumer: Consumer | undefined } | undefined
  /** Replays that end, by id. */
  readonly #ending = new Set<string>()
  #failures: { readonly id: string; readonly count: number } | undefined
  #turns: Promise<void> = Promise.resolve()
  #silent = false
  #resumedAtMs: number | undefined

  constructor(def: ConsumerDef<Item>, deps: ConsumerDeps, options: GroupWorkerOptions<Item>) {
    this.#def = def
    this.#deps = deps
    this.#options = options
    this.#watched = createWatchedClient(deps.client, deps.clock)
    this.#done.promise.catch(() => {})
    deps.signal?.addEventListener('abort', () => void this.stop(), { once: true })
    if (deps.signal?.aborted === true) void this.stop()
  }

  get done(): Promise<void> {
    return this.#done.promise
  }

  ready(): boolean {
    return this.#live?.ready() ?? false
  }

  live(): boolean {
    return this.#live?.live() ?? true
  }

  rewind(to: Parameters<Consumer['rewind']>[0]): void {
    this.#live?.rewind(to)
  }

  stopped(): ReturnType<Consumer['stopped']> {
    return this.#live?.stopped() ?? this.#replay?.consumer?.stopped()
  }

  resume(): void {
    this.#live?.resume()
    this.#replay?.consumer?.resume()
  }

  /** The first turn, and the others behind it. */
  async begin(): Promise<void> {
    await this.#ask(firstAnswerMs)
    await this.#obey()
    this.#turns = this.#keepAsking().catch((error: unknown) => this.#done.reject(error))
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all([this.#turns, this.#stopBoth()])
    // What a turn started that was under way.
    await this.#stopBoth()
    this.#done.resolve()
  }

  async #stopBoth(): Promise<void> {
    await Promise.all([this.#live?.[Symbol.asyncDispose](), this.#replay?.consumer?.[Symbol.asyncDispose]()])
  }

  async #keepAsking(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await this.#deps.clock.sleep(this.#options.askEveryMs, signal).catch(() => undefined)
      if (signal.aborted) return
      await this.#ask(this.#options.askEveryMs + firstAnswerMs)
      if (!signal.aborted) await this.#obey()
    }
  }

  async #ask(limitMs: number): Promise<void> {
    const { clock, log } = this.#deps
    const { group } = this.#def
    try {
      this.#orders = await withDeadline(this.#options.desk.orders(), limitMs, clock, `orders of ${group}`)
      this.#heldUntilMs = clock.monotonic() + this.#orders.heldForMs
      this.#resumeWhenTold()
      this.#silent = false
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      if (!this.#silent) log.warn({ group, error: String(error) }, 'what is decided about the group is not known')
      this.#silent = true
    }
  }

  /** What was said before this process asked for the first time was said to another one. */
  #resumeWhenTold(): void {
    const { resumedAtMs = 0 } = this.#orders
    const before = this.#resumedAtMs
    this.#resumedAtMs = resumedAtMs
    if (before === undefined || resumedAtMs <= before) return
    this.#deps.log.info({ group: this.#def.group }, 'told to go on')
    this.resume()
  }

  async #obey(): Promise<void> {
    const { clock, log } = this.#deps
    const { group } = this.#def
    const isHeld = this.#orders.heldForMs > 0 && clock.monotonic() < this.#heldUntilMs
    if (isHeld && this.#live !== undefined) {
      log.info({ group }, 'the group is held: leaving it')
      const leaving = this.#live
      this.#live = undefined
      await leaving[Symbol.asyncDispose]()
    }
    if (!isHeld && this.#live === undefined) this.#live = await this.#startLive()
    const { replay } = this.#orders
    if (this.#replay !== undefined && this.#replay.id !== replay?.id) {
      log.info({ group, replay: this.#replay.id }, 'the replay is over')
      const over = this.#replay
      this.#replay = undefined
      this.#ending.add(over.id)
      await over.consumer?.[Symbol.asyncDispose]()
      this.#ending.delete(over.id)
    }
    if (this.#replay === undefined && replay !== undefined) await this.#startReplay(replay)
  }

  async #startLive(): Promise<Consumer> {
    const consumer = await startConsumer(this.#def, { ...this.#deps, client: this.#watched.client })
    consumer.done.catch((error: unknown) => this.#done.reject(error))
    return consumer
  }

  async #startReplay(order: ReplayOrder): Promise<void> {
    const { clock, log } = this.#deps
    const { id, ends } = order
    log.info({ group: order.group, replay: id, topic: order.topic }, 'a replay begins')
    let share = 0
    const client = createBoundedClient(this.#deps.client, {
      ends,
      onShare: (partitions) => {
        share = partitions / Math.max(1, ends.size)
      }
    })
    const { giveWayMs = 1_000, replaying } = this.#options
    const def = { ...this.#def, ...replaying }
    const { maxBytes } = def.policy
    const { totalBytes = maxBytes * 3 } = def.settings ?? {}
    const handle = createPacedHandle(def.handle, {
      clock,
      giveWayMs,
      behindMs: this.#watched.behindMs,
      isEnding: () => this.#stopping.signal.aborted || this.#ending.has(id),
      perSecond: () => (order.perSecond === undefined ? undefined : Math.max(1, order.perSecond * share))
    })
    try {
      const consumer = await startConsumer<Item>(
        {
          ...def,
          name: `${def.name}-replay`,
          group: order.group,
          lettersOf: def.group,
          topics: fixedTopics([order.topic]),
          handle,
          settings: { ...def.settings, totalBytes }
        },
        { ...this.#deps, client }
      )
      this.#replay = { id, consumer }
      consumer.done.catch((error: unknown) => void this.#onFailed(order, error))
    } catch (error) {
      await this.#onFailed(order, error)
    }
  }

  /** It begins again with the next turn; what fails for the third time does not. */
  async #onFailed({ id, group }: ReplayOrder, error: unknown): Promise<void> {
    const { log } = this.#deps
    this.#failures = { id, count: this.#failures?.id === id ? this.#failures.count + 1 : 1 }
    const isGivenUp = this.#failures.count >= attempts
    this.#replay = isGivenUp ? { id, consumer: undefined } : undefined
    log.error({ group, replay: id, isGivenUp, err: toError(error) }, 'the replay failed')
    if (!isGivenUp) return
    await this.#options.desk.failed(id, error).catch((second: unknown) => {
      log.warn({ group, replay: id, error: String(second) }, 'that the replay failed could not be told')
    })
  }
}
