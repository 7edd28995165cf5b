// The consumer of a group that can be replayed. It asks its desk, before it joins and then again and again, what is
// decided about the group, and does one of three things:
//
// | decided  | what happens                                                                                      |
// | nothing  | the group reads on                                                                                |
// | held     | intake ends, what is buffered has its effect and is committed, the group is left until it is over |
// | a replay | a second consumer of the same worker reads the part again under a group of its own, beside it     |
//
// A desk that does not answer changes nothing, and a hold ends by itself: an order is never worth a stopped group. Dead
// letters of a replay never stop it, since they are there already or wanted; but it gives way to live reading, so what
// stops that (too many dead letters, a store that refuses) holds the replay as well, that of another project included.
import { AppError, toError, withDeadline } from '@millrace/kernel'
import type { Consumer, ConsumerDef, ConsumerDeps } from './definition.ts'
import { resumeWhenTold } from './group-resume.ts'
import { createPacedHandle } from './pace.ts'
import { createBoundedClient, createWatchedClient } from './replay-client.ts'
import { noOrders } from './replay-order.ts'
import type { GroupDesk, GroupOrders, ReplayOrder } from './replay-order.ts'
import { resolveSettings } from './settings.ts'
import { lettersCheck, startConsumer } from './start-consumer.ts'
import { fixedTopics } from './topic-set.ts'

export interface GroupWorkerOptions<Item> {
  readonly desk: GroupDesk
  /** How often the desk is asked. */
  readonly askEveryMs: number
  /** What a replay does differently; default: nothing. */
  readonly replaying?: Partial<Pick<ConsumerDef<Item>, 'decode' | 'handle'>>
  /** A replay waits while live reading is further behind than this, gathering of batches apart; default 500. */
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

interface RunningReplay {
  readonly id: string
  /** Leaves its group, or gives up joining it. */
  end(): Promise<void>
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
  #replay: RunningReplay | undefined
  #failures: { readonly id: string; readonly count: number } | undefined
  /** A replay that was given up, which the desk does not know yet. */
  #untold: { readonly id: string; readonly error: unknown } | undefined
  #turns: Promise<void> = Promise.resolve()
  #silent = false

  constructor(def: ConsumerDef<Item>, deps: ConsumerDeps, options: GroupWorkerOptions<Item>) {
    this.#def = def
    this.#deps = deps
    this.#options = options
    this.#watched = createWatchedClient(deps.client, deps.clock, def.policy.maxAgeMs)
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
    return this.#live?.stopped()
  }

  resume(): void {
    this.#live?.resume()
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
    await Promise.all([this.#live?.[Symbol.asyncDispose](), this.#replay?.end()])
  }

  async #keepAsking(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await this.#deps.clock.sleep(this.#options.askEveryMs, signal).catch(() => undefined)
      if (signal.aborted) return
      await this.#ask(this.#options.askEveryMs + firstAnswerMs)
      await this.#hearResume()
      await this.#tellFailure()
      if (!signal.aborted) await this.#obey()
    }
  }

  async #hearResume(): Promise<void> {
    const { resumedAgoMs } = this.#options.desk
    if (this.#live === undefined) return
    await resumeWhenTold(this.#live, { group: this.#def.group, resumedAgoMs }, this.#deps)
  }

  async #ask(limitMs: number): Promise<void> {
    const { clock, log } = this.#deps
    const { group } = this.#def
    try {
      this.#orders = await withDeadline(this.#options.desk.orders(), limitMs, clock, `orders of ${group}`)
      this.#heldUntilMs = clock.monotonic() + this.#orders.heldForMs
      this.#silent = false
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      if (!this.#silent) log.warn({ group, error: String(error) }, 'what is decided about the group is not known')
      this.#silent = true
    }
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
      await over.end()
    }
    if (this.#replay === undefined && replay !== undefined) this.#startReplay(replay)
  }

  async #startLive(): Promise<Consumer> {
    const consumer = await startConsumer(this.#def, { ...this.#deps, client: this.#watched.client })
    consumer.done.catch((error: unknown) => this.#done.reject(error))
    return consumer
  }

  /** Not waited for: as long as its group cannot be joined, the worker hears what else is decided. */
  #startReplay(order: ReplayOrder): void {
    if (this.#stopping.signal.aborted) return
    const ending = new AbortController()
    const joined = this.#joinReplay(order, ending.signal).catch((error: unknown) => {
      this.#onFailed(replay, order, error)
      return undefined
    })
    const replay: RunningReplay = {
      id: order.id,
      end: async () => {
        ending.abort()
        await (await joined)?.[Symbol.asyncDispose]()
      }
    }
    this.#replay = replay
    void joined.then((consumer) => consumer?.done.catch((error: unknown) => this.#onFailed(replay, order, error)))
  }

  async #joinReplay(order: ReplayOrder, signal: AbortSignal): Promise<Consumer> {
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
    const { giveWayMs = 500, replaying } = this.#options
    const def = { ...this.#def, ...replaying }
    const { maxBytes } = def.policy
    // One batch on its way and one that is gathered: the live consumer of the process has a budget of its own.
    const totalBytes = Math.min(maxBytes * 2, def.settings?.totalBytes ?? maxBytes * 2)
    const storm = { ...resolveSettings(this.#def).storm, perMinute: 0 }
    const handle = createPacedHandle(def.handle, {
      clock,
      giveWayMs,
      behind: this.#watched.behind,
      onLongWait: (behind) =>
        log.warn({ group: order.group, replay: id, ...behind }, 'a replay waits for live reading of this worker'),
      isEnding: () => signal.aborted,
      perSecond: () => (order.perSecond === undefined ? undefined : Math.max(1, order.perSecond * share))
    })
    return await startConsumer<Item>(
      {
        ...def,
        name: `${def.name}-replay`,
        group: order.group,
        lettersOf: def.group,
        topics: fixedTopics([order.topic]),
        handle,
        settings: { ...def.settings, totalBytes, storm }
      },
      { ...this.#deps, client, signal }
    )
  }

  /** It begins again with the next turn; what fails for the third time does not. */
  #onFailed(replay: RunningReplay, { id, group }: ReplayOrder, error: unknown): void {
    if (this.#replay !== replay) return
    this.#failures = { id, count: this.#failures?.id === id ? this.#failures.count + 1 : 1 }
    const isGivenUp = this.#failures.count >= attempts
    this.#deps.log.error({ group, replay: id, isGivenUp, err: toError(error) }, 'the replay failed')
    if (isGivenUp) this.#untold = { id, error }
    else this.#replay = undefined
  }

  /** Again with every turn until the desk heard it: nobody else knows. */
  async #tellFailure(): Promise<void> {
    if (this.#untold === undefined) return
    const { id, error } = this.#untold
    if (this.#orders.replay?.id !== id) return void (this.#untold = undefined)
    try {
      await this.#options.desk.failed(id, error)
      this.#untold = undefined
    } catch (second) {
      const { group } = this.#def
      this.#deps.log.warn({ group, replay: id, error: String(second) }, 'that the replay failed could not be told')
    }
  }
}
