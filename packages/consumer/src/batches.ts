// The batches cut from the lanes of a member (lane-set.ts): cutting, the steps of a batch, retries, and the fence that
// falls when the partitions are lost. Called by the loop (loop.ts) alone, one event at a time.
//
// Invariants: a lane is in at most one batch; a commit names the end of a prefix whose effects and letters are stored;
// a batch whose lanes were lost is stale, and nothing it yields is committed.
import { AppError, backoffMs } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import type { Commit } from '@millrace/kafka'
import type { AttemptResult } from './attempt.ts'
import type { ConsumerDef, ConsumerDeps, ConsumerSettings } from './definition.ts'
import { cutFlush, handledDead, itemEntries, splitDecided, splitDelivered, truncate } from './flush.ts'
import type { Flush, Part, Undelivered } from './flush.ts'
import { pickLanes, wakeAtMs } from './flush-policy.ts'
import { LaneSet } from './lane-set.ts'
import { LetterGate } from './letter-gate.ts'
import type { Entry, Lane } from './lane.ts'
import type { LoopEvent } from './loop-event.ts'
import { decodeRecord } from './origin.ts'
import type { Report, WaitStep } from './report.ts'
import type { LetterFate } from './send-letters.ts'
import { recordWaitMs } from './retry-policy.ts'
import { runStep } from './steps.ts'
import type { StepContext, StepResult } from './steps.ts'
import type { Storm } from './storm-guard.ts'

/** Rewinds of a lane without progress in between after which sink and log are taken to contradict each other. */
const maxRewinds = 100

/** What the batches need from their loop. */
export interface BatchesHost<Item> {
  readonly def: ConsumerDef<Item>
  readonly deps: ConsumerDeps
  readonly settings: ConsumerSettings
  readonly report: Report<Item>
  readonly post: (event: LoopEvent<Item>) => void
}

export class Batches<Item> {
  /** For the loop: assigned, filled and moved by what Kafka tells, given up through `fence`. */
  readonly lanes: LaneSet<Item>
  readonly #host: BatchesHost<Item>
  readonly #steps: StepContext<Item>
  /** Batches on their way. */
  readonly #flushes = new Set<Flush<Item>>()
  /** Batches whose lanes are lost and whose step still runs. */
  readonly #stale = new Set<Flush<Item>>()
  readonly #gate: LetterGate<Item>
  #turn = 0
  #wake: Disposable | undefined
  #wakeAtMs = Infinity

  constructor(host: BatchesHost<Item>) {
    const { def, deps, settings, report } = host
    this.#host = host
    this.lanes = new LaneSet(host)
    this.#gate = new LetterGate(host)
    this.#steps = {
      def,
      deps,
      settings,
      member: () => this.lanes.member,
      onCall: (flush, seconds) => {
        flush.calledAtMs = seconds === undefined ? deps.clock.monotonic() : undefined
        if (seconds !== undefined) report.handled(seconds)
      }
    }
  }

  // What the loop asks

  get counts(): { readonly lanes: number; readonly batches: number; readonly stale: number } {
    return { lanes: this.lanes.size, batches: this.#flushes.size, stale: this.#stale.size }
  }

  /** Why nothing is begun any more; undefined while it is. */
  get storm(): Storm | undefined {
    return this.#gate.storm
  }

  /** Nothing is buffered and nothing on its way. */
  get empty(): boolean {
    return this.#flushes.size === 0 && this.lanes.empty
  }

  /** No step of a live batch runs: each is either done or waits for a dependency. */
  get resting(): boolean {
    return [...this.#flushes].every(({ running }) => !running)
  }

  /** The longest time a batch has been waiting for a dependency, in milliseconds. */
  waitingMs(): number {
    const nowMs = this.#host.deps.clock.monotonic()
    return Math.max(0, ...[...this.#flushes].map(({ failingSinceMs }) => nowMs - (failingSinceMs ?? nowMs)))
  }

  /** The longest time a call of `handle` has been running without progress, in milliseconds. */
  callingMs(): number {
    const nowMs = this.#host.deps.clock.monotonic()
    return Math.max(0, ...[...this.#flushes, ...this.#stale].map(({ calledAtMs }) => nowMs - (calledAtMs ?? nowMs)))
  }

  // What the loop tells

  /** Gives up every lane and batch. What their steps still yield is ignored. */
  fence(why: string, failed = false): void {
    const { def } = this.#host
    const reason = new AppError('PIPE_DEADLINE', `${def.name}: ${why}`)
    for (const flush of this.#flushes) {
      flush.stale = true
      if (flush.running) this.#stale.add(flush)
      if (typeof flush.wait === 'object') flush.wait[Symbol.dispose]()
      if (failed) for (const { lane } of flush.parts) lane.become('failed')
      flush.abort(reason)
    }
    this.#flushes.clear()
    this.lanes.fence(why)
    this.#arm(Infinity)
  }

  /** A step of `flush` ended. Throws what the consumer fails with. */
  stepped(flush: Flush<Item>, result: StepResult): void {
    flush.running = false
    if (flush.stale) return this.#onLate(flush, result)
    switch (result.step) {
      case 'letters':
        return this.#onLetters(flush, result.fates)
      case 'handle':
        return this.#onHandled(flush, result.result)
      case 'commit':
        if (result.result === 'transient') return this.#wait(flush, 'commit', result.error)
        return result.result === 'committed' ? this.#onCommitted(flush) : this.fence('the group moved on')
      case 'failed':
        throw result.error
      case 'none':
        return
    }
  }

  /** The backoff of `flush` is over; it goes on when there is room. */
  waited(flush: Flush<Item>): void {
    flush.wait = 'over'
  }

  /** Goes on after a storm; somebody looked at the letters that were held back. */
  resume(): void {
    this.#gate.open(this.#flushes)
  }

  woke(): void {
    this.#wakeAtMs = Infinity
  }

  /** Starts what is due, unless `draining`, and steers the partitions. */
  schedule(mode: 'filling' | 'draining' | 'stopping'): void {
    if (this.lanes.member === undefined) return
    if (mode !== 'draining') {
      for (const flush of this.#flushes) {
        const may = this.storm === undefined || flush.step === 'commit'
        if (may && flush.wait === 'over' && this.#hasSlot()) this.#run(flush)
      }
      while (this.storm === undefined && this.#hasSlot() && this.#cut(mode === 'stopping'));
    }
    this.lanes.steer(mode === 'stopping' || this.storm !== undefined)
    const idle = mode === 'draining' || this.storm !== undefined || !this.#hasSlot()
    const loads = idle ? [] : this.#idle().map((lane) => lane.load())
    this.#arm(wakeAtMs(loads, this.#host.def.policy))
  }

  // Batches

  #hasSlot(): boolean {
    let running = this.#stale.size
    for (const flush of this.#flushes) if (flush.running) running++
    return running < this.#host.settings.concurrency
  }

  /** Lanes that may give records to a batch: filling, and no earlier call for their partition still runs. */
  #idle(): Lane<Item>[] {
    const busy = new Set<string>()
    for (const { parts } of this.#stale) for (const { lane } of parts) busy.add(lane.key)
    return this.lanes.all().filter(({ state, key }) => state === 'filling' && !busy.has(key))
  }

  /** Cuts and starts the next batch; false when none is due. */
  #cut(stopping: boolean): boolean {
    const { def, deps, report } = this.#host
    const lanes = this.#idle()
    const loads = lanes.map((lane) => lane.load())
    // A batch under way relieves the budget already; only without one is another cut before its time.
    const pressure = { stopping, overBudget: this.resting && this.lanes.overBudget }
    const picked = pickLanes(loads, def.policy, deps.clock.monotonic(), pressure)
    if (picked === undefined) return false
    const chosen = picked.lanes.flatMap((index) => lanes[index] ?? [])
    // Each batch begins with another lane, so that a full one does not starve the others.
    const turn = this.#turn++ % chosen.length
    const flush = cutFlush([...chosen.slice(turn), ...chosen.slice(0, turn)], def.policy, picked.reason)
    report.cut(flush)
    this.#flushes.add(flush)
    this.#begin(flush)
    return true
  }

  #begin(flush: Flush<Item>): void {
    const { def, deps } = this.#host
    const undelivered: Undelivered<Item>[] = []
    for (const part of flush.parts) {
      part.lane.become('flushing')
      for (const entry of part.entries) {
        const decoded = (entry.decoded ??= decodeRecord(entry.record, def.topics.redrive, def.decode))
        if (decoded.kind !== 'dead' || entry.lettered) continue
        undelivered.push({ part, entry, outcome: decoded, stage: entry.stage, failedAtMs: deps.clock.now() })
      }
    }
    flush.undelivered = undelivered
    flush.afterLetters = def.startAt !== undefined || itemEntries(flush).length > 0 ? 'handle' : 'commit'
    flush.step = undelivered.length > 0 ? 'letters' : flush.afterLetters
    this.#run(flush)
  }

  #run(flush: Flush<Item>): void {
    if (flush.step === 'letters' && !this.#gate.admits(flush)) return this.#hold(flush)
    flush.wait = undefined
    flush.running = true
    if (flush.step === 'handle') flush.attempt++
    for (const { lane } of flush.parts) lane.become(flush.step === 'commit' ? 'committing' : 'flushing')
    void runStep(this.#steps, flush).then((result) => this.#host.post({ kind: 'stepped', flush, result }))
  }

  /** Its records wait as they are: a version that can take them has them again. */
  #hold(flush: Flush<Item>): void {
    for (const { lane } of flush.parts) lane.become('waiting')
    flush.wait = 'over'
  }

  #next(flush: Flush<Item>, step: Flush<Item>['step']): void {
    flush.step = step
    flush.tries = 0
    flush.failingSinceMs = undefined
    this.#run(flush)
  }

  #onLetters(flush: Flush<Item>, fates: readonly LetterFate[]): void {
    let error: Error | undefined
    const pending: Undelivered<Item>[] = []
    for (const [index, letter] of flush.undelivered.entries()) {
      const fate = fates[index]
      if (fate === undefined || fate.kind === 'pending') {
        pending.push(letter)
        error ??= fate?.error
      } else {
        letter.entry.lettered = true
        this.#host.report.letter(letter, fate)
      }
    }
    flush.undelivered = pending
    if (pending.length === 0) return this.#next(flush, flush.afterLetters)
    // The ranges without a pending letter go on; a dead-letter topic that is down holds up its own records only.
    const free = splitDelivered(flush)
    this.#wait(flush, 'letters', error)
    if (free === undefined) return
    this.#flushes.add(free)
    this.#run(free)
  }

  #onHandled(flush: Flush<Item>, result: AttemptResult): void {
    if (result.kind === 'transient') return this.#wait(flush, 'handle', result.error)
    if (result.kind === 'failed') throw result.error
    if (result.kind === 'rewind') return this.#onRewind(flush, result.to)
    const entries = itemEntries(flush)
    const waitMs = this.#decide(flush, entries, result)
    const behind = entries[result.outcomes.length]
    if (result.kind === 'found' && result.verdict.kind === 'dead' && behind !== undefined) {
      // The next batch writes its letter first and then passes it.
      behind.decoded = result.verdict
      behind.stage = 'handle'
    }
    if (behind !== undefined) this.#release(truncate(flush, behind, this.#host.def.startAt !== undefined))
    if (flush.parts.length === 0) return void this.#flushes.delete(flush)
    if (waitMs === undefined) return this.#finish(flush)
    // The ranges without a refused record go on; its neighbours wait with it, so that the offset moves behind it once.
    const free = splitDecided(flush)
    if (flush.parts.length > 0) this.#tryAgain(flush, waitMs)
    else this.#flushes.delete(flush)
    if (free === undefined) return
    this.#flushes.add(free)
    this.#finish(free)
  }

  /** Notes the outcomes; the wait before refused records are tried again, undefined when none is. */
  #decide(
    flush: Flush<Item>,
    entries: readonly Entry<Item>[],
    result: Extract<AttemptResult, { kind: 'decided' | 'found' }>
  ): number | undefined {
    const again = new Set(result.kind === 'decided' ? result.again : [])
    let longestMs: number | undefined
    for (const [index, outcome] of result.outcomes.entries()) {
      const entry = entries[index]
      if (entry === undefined) continue
      if (again.has(index)) entry.refusals++
      const waitMs = again.has(index) ? recordWaitMs(this.#host.settings.recordRetryMs, entry.refusals) : undefined
      if (waitMs === undefined) flush.outcomes.set(entry, outcome)
      else longestMs = Math.max(longestMs ?? 0, waitMs)
    }
    return longestMs
  }

  /** Everything is decided: letters, then the commit. */
  #finish(flush: Flush<Item>): void {
    flush.undelivered = handledDead(flush, this.#host.deps.clock.now())
    flush.admitted = false
    flush.afterLetters = 'commit'
    this.#next(flush, flush.undelivered.length > 0 ? 'letters' : 'commit')
  }

  #tryAgain(flush: Flush<Item>, waitMs: number): void {
    const { deps, post, report } = this.#host
    for (const { lane } of flush.parts) lane.become('waiting')
    flush.step = 'handle'
    flush.wait = deps.clock.timer(waitMs, () => post({ kind: 'waited', flush }))
    report.refused(itemEntries(flush).length, waitMs)
  }

  #onRewind(flush: Flush<Item>, to: readonly Commit[]): void {
    const { def } = this.#host
    this.#flushes.delete(flush)
    for (const { topic, partition, offset } of to) {
      const key = partitionKey({ topic, partition })
      const lane = flush.parts.find((part) => part.lane.key === key)?.lane
      if (lane === undefined) throw new Error(`${def.name}: rewind of ${key}, which is not in the batch`)
      this.lanes.seek(lane, offset)
      if (lane.rewinds > maxRewinds) throw new Error(`${def.name}: ${maxRewinds} rewinds of ${key} without progress`)
    }
    this.#release(flush.parts)
  }

  #onCommitted(flush: Flush<Item>): void {
    this.#flushes.delete(flush)
    for (const { lane, entries, to } of flush.parts) {
      this.#host.report.settled(entries, flush.outcomes)
      this.#gate.passed(entries.length)
      lane.settle(entries.length, to)
    }
    this.#release(flush.parts)
  }

  #release(parts: readonly Part<Item>[]): void {
    for (const { lane } of parts) lane.become('filling')
  }

  #onLate(flush: Flush<Item>, result: StepResult): void {
    this.#stale.delete(flush)
    this.#host.report.stale()
    if (!(this.#host.deps.planted?.has('consumer.ignore-epoch') ?? false)) return
    if (result.step !== 'handle' || result.result.kind !== 'decided') return
    flush.step = 'commit'
    void runStep(this.#steps, flush)
  }

  /** The same batch again after a while: its dependency is down, the records are innocent. */
  #wait(flush: Flush<Item>, step: WaitStep, error: unknown): void {
    const { deps, settings, post, report } = this.#host
    for (const { lane } of flush.parts) lane.become('waiting')
    flush.tries++
    flush.failingSinceMs ??= deps.clock.monotonic()
    const waitMs = backoffMs(settings.backoff, flush.tries, deps.random)
    flush.wait = deps.clock.timer(waitMs, () => post({ kind: 'waited', flush }))
    report.waits(step, flush.tries, waitMs, error)
  }

  #arm(atMs: number): void {
    if (atMs === this.#wakeAtMs) return
    this.#wake?.[Symbol.dispose]()
    this.#wake = undefined
    this.#wakeAtMs = atMs
    if (atMs === Infinity) return
    const { clock } = this.#host.deps
    const waitMs = Math.max(0, atMs - clock.monotonic())
    this.#wake = clock.timer(waitMs, () => this.#host.post({ kind: 'wake' }))
  }
}
