// The gate before the letters of a consumer: it closes when too many of them come at once (storm-guard.ts), before they are
// written, and stays closed until somebody opens it or the process ends. Asked by the batches (batches.ts) alone.
import type { ConsumerDef, ConsumerDeps, ConsumerSettings } from './definition.ts'
import type { Flush } from './flush.ts'
import type { Report } from './report.ts'
import { createStormGuard } from './storm-guard.ts'
import type { Storm, StormGuard } from './storm-guard.ts'

/** What the gate needs of its consumer. */
export interface LetterGateHost<Item> {
  readonly def: Pick<ConsumerDef<Item>, 'topics'>
  readonly deps: Pick<ConsumerDeps, 'clock'>
  readonly settings: Pick<ConsumerSettings, 'storm'>
  readonly report: Pick<Report<Item>, 'stopped' | 'resumed'>
}

const openMs = 60_000

export class LetterGate<Item> {
  readonly #host: LetterGateHost<Item>
  readonly #guard: StormGuard
  #storm: Storm | undefined
  /** Monotonic time until which nothing is counted. */
  #openUntilMs = -Infinity

  constructor(host: LetterGateHost<Item>) {
    this.#host = host
    this.#guard = createStormGuard(host.settings.storm)
  }

  /** Why it is closed; undefined while it is open. */
  get storm(): Storm | undefined {
    return this.#storm
  }

  /**
   * Whether the letters of `flush` may be written. Letters that were sent once more and fail again are old news: they must
   * not stop what is live.
   */
  admits(flush: Flush<Item>): boolean {
    if (flush.admitted || this.#storm !== undefined) return this.#storm === undefined
    const { def, deps, report } = this.#host
    const nowMs = deps.clock.monotonic()
    if (nowMs < this.#openUntilMs) return true
    const fresh = flush.undelivered.filter(({ entry }) => entry.record.topic !== def.topics.redrive)
    this.#storm = this.#guard.admit(fresh.length, nowMs)
    flush.admitted = this.#storm === undefined
    if (this.#storm !== undefined) report.stopped(this.#storm)
    return flush.admitted
  }

  /** Records whose fate is settled. */
  passed(records: number): void {
    this.#guard.passed(records, this.#host.deps.clock.monotonic())
  }

  /** Opens it for what it held back and all that comes within a minute: whoever does knows of them. Then it counts anew. */
  open(heldBack: Iterable<Flush<Item>>): void {
    if (this.#storm === undefined) return
    this.#storm = undefined
    this.#guard.reset()
    this.#openUntilMs = this.#host.deps.clock.monotonic() + openMs
    for (const flush of heldBack) flush.admitted = true
    this.#host.report.resumed()
  }
}
