// The loop of a consumer. Kafka callbacks, timers and finished steps post events; the loop takes them one at a time and
// is the only place from which lanes (lane-set.ts) and batches (batches.ts) change. Effects run outside of it (steps.ts)
// and come back as events. It ends by leaving the group: after a stop with everything in hand committed, after a failure
// at once.
import type { GroupMember } from '@millrace/kafka'
import { Batches } from './batches.ts'
import type { ConsumerDef, ConsumerDeps, ConsumerSettings } from './definition.ts'
import type { LoopEvent } from './loop-event.ts'
import { createReport } from './report.ts'
import type { Report } from './report.ts'
import type { Storm } from './storm-guard.ts'

const tickMs = 5_000
/** The loop counts as dead when it did not tick for this long. */
const deadAfterMs = 30_000
/** Time for a worker to notice its aborted signal when a stop ran out of time. */
const abortGraceMs = 2_000

export class Loop<Item> {
  readonly #deps: ConsumerDeps
  readonly #settings: ConsumerSettings
  readonly #report: Report<Item>
  readonly #batches: Batches<Item>
  readonly #mailbox: LoopEvent<Item>[] = []
  readonly #done = Promise.withResolvers<void>()
  readonly #stopped = Promise.withResolvers<void>()
  #turning = false
  #member: GroupMember | undefined
  #tickedAtMs = 0
  #failed = false
  /** `aborting`: out of time, calls of the worker are told to end. `overdue`: they did not. */
  #stopping: 'no' | 'draining' | 'aborting' | 'overdue' = 'no'
  #leaving = false
  #over = false
  /** Rebalances that wait for the lanes to drain. */
  #revoking: (() => void)[] = []
  #drain: Disposable | undefined
  #tick: Disposable | undefined
  readonly #limits: Disposable[] = []

  constructor(def: ConsumerDef<Item>, deps: ConsumerDeps, settings: ConsumerSettings) {
    this.#deps = deps
    this.#settings = settings
    this.#report = createReport(def, deps)
    const post = (event: LoopEvent<Item>): void => this.post(event)
    this.#batches = new Batches({ def, deps, settings, report: this.#report, post })
    // Whoever waits for `done` sees a failure; it is logged in any case.
    this.#done.promise.catch(() => {})
    this.#onTick()
  }

  /** Resolves after a stop, rejects when the consumer failed. */
  get done(): Promise<void> {
    return this.#done.promise
  }

  /** Resolves when the group is left, after a failure too. */
  get stopped(): Promise<void> {
    return this.#stopped.promise
  }

  ready(): boolean {
    if (!this.#batches.lanes.joined || this.#failed || this.#stopping !== 'no') return false
    return this.storm === undefined && this.#batches.waitingMs() < this.#settings.unreadyAfterMs
  }

  /** Why the consumer stopped; undefined while it works. */
  get storm(): Storm | undefined {
    return this.#batches.storm
  }

  live(): boolean {
    if (this.#failed) return false
    const nowMs = this.#deps.clock.monotonic()
    const { maxHandleMs, sessionTimeoutMs, rebalanceTimeoutMs } = this.#settings
    if (nowMs - this.#tickedAtMs > deadAfterMs) return false
    if (this.#batches.callingMs() > maxHandleMs * 2 + deadAfterMs) return false
    // A member that lost its lanes and is not given new ones will not come back by itself.
    if (this.#batches.lanes.joined || this.#member === undefined || this.#stopping !== 'no') return true
    return nowMs - this.#batches.lanes.lostAtMs < 2 * (sessionTimeoutMs + rebalanceTimeoutMs)
  }

  /** Takes `event`, and those posted meanwhile, in order. */
  post(event: LoopEvent<Item>): void {
    this.#mailbox.push(event)
    if (this.#turning) return
    this.#turning = true
    for (let next = this.#mailbox.shift(); next !== undefined; next = this.#mailbox.shift()) this.#take(next)
    this.#turning = false
  }

  #take(event: LoopEvent<Item>): void {
    if (this.#over || (this.#failed && event.kind !== 'left')) {
      if (event.kind === 'revoking') event.resolve()
      return
    }
    try {
      this.#on(event)
      this.#schedule()
    } catch (error) {
      this.#fail(error)
    }
  }

  #on(event: LoopEvent<Item>): void {
    const batches = this.#batches
    const { lanes } = batches
    switch (event.kind) {
      case 'attached':
        this.#member = event.member
        return lanes.attach(event.member)
      case 'void':
        return batches.fence('assignment void')
      case 'assigned':
        return this.#stopping === 'no' ? lanes.assign(event.partitions, event.positions) : undefined
      case 'revoking':
        this.#revoking.push(event.resolve)
        this.#drain ??= this.#deps.clock.timer(this.#settings.drainMs, () => this.post({ kind: 'drainOver' }))
        return
      case 'drainOver':
        return this.#finishRevoking()
      case 'batch':
        return this.#stopping === 'no' ? lanes.take(event.batch) : undefined
      case 'outOfRange':
        return lanes.outOfRange(event.partition, event.requested, event.logStart)
      case 'rewind':
        return lanes.rewind(event.to)
      case 'stepped':
        return batches.stepped(event.flush, event.result)
      case 'waited':
        return batches.waited(event.flush)
      case 'wake':
        return batches.woke()
      case 'resume':
        return batches.resume()
      case 'failure':
        throw event.error
      case 'tick':
        return this.#onTick()
      case 'stop':
        return this.#onStop()
      case 'stopOver':
        this.#stopping = 'aborting'
        this.#limits.push(this.#deps.clock.timer(abortGraceMs, () => this.post({ kind: 'graceOver' })))
        return batches.fence('stop ran out of time')
      case 'graceOver':
        this.#stopping = 'overdue'
        return
      case 'left':
        return this.#end()
    }
  }

  #schedule(): void {
    if (this.#over || this.#failed) return
    const mode = this.#revoking.length > 0 ? 'draining' : this.#stopping === 'no' ? 'filling' : 'stopping'
    this.#batches.schedule(mode)
    if (mode === 'draining' && this.#batches.resting) this.#finishRevoking()
    if (this.#stopping === 'no' || !this.#batches.empty) return
    if (this.#batches.counts.stale === 0 || this.#stopping === 'overdue') this.#leave()
  }

  /** Drained or out of time: only now are the lanes fenced, so that finished work could still be committed. */
  #finishRevoking(): void {
    this.#drain?.[Symbol.dispose]()
    this.#drain = undefined
    this.#batches.fence('revoked')
    for (const resolve of this.#revoking.splice(0)) resolve()
  }

  #onTick(): void {
    this.#tickedAtMs = this.#deps.clock.monotonic()
    this.#batches.lanes.reportLoads()
    this.#tick = this.#deps.clock.timer(tickMs, () => this.post({ kind: 'tick' }))
  }

  #onStop(): void {
    if (this.#stopping !== 'no') return
    this.#stopping = 'draining'
    this.#report.log.info({ ...this.#batches.counts }, 'stopping')
    // What a storm holds back does not get done by waiting for it.
    const stopMs = this.storm === undefined ? this.#settings.stopMs : 0
    this.#limits.push(this.#deps.clock.timer(stopMs, () => this.post({ kind: 'stopOver' })))
  }

  /** Leaves the group; the last commit is behind. */
  #leave(): void {
    if (this.#leaving) return
    this.#leaving = true
    if (this.#revoking.length > 0) this.#finishRevoking()
    const left = this.#member?.stop() ?? Promise.resolve()
    void left
      .catch((error: unknown) => this.#report.log.warn({ error: String(error) }, 'leaving the group failed'))
      .then(() => this.post({ kind: 'left' }))
  }

  #end(): void {
    this.#over = true
    this.#batches.fence('stopped')
    // A process may outlive its consumer: no gauge goes on telling of partitions that are not held.
    this.#batches.lanes.reportLoads()
    this.#drain?.[Symbol.dispose]()
    this.#tick?.[Symbol.dispose]()
    for (const timer of this.#limits) timer[Symbol.dispose]()
    this.#done.resolve()
    this.#stopped.resolve()
  }

  #fail(error: unknown): void {
    this.#failed = true
    this.#report.failed(error)
    this.#batches.fence('failed', true)
    this.#done.reject(error)
    this.#leave()
  }
}
