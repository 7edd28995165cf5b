// A batch on its way: which records of which lanes, what is decided about them, and which step comes next. Pure; the
// loop (loop.ts) holds the batches and runs the steps.
import type { Outcome } from '@millrace/kernel'
import type { Commit } from '@millrace/kafka'
import type { Batch, BatchRange } from './definition.ts'
import type { Entry, Lane } from './lane.ts'
import type { FlushReason } from './flush-policy.ts'
import type { LetterStage } from './dead-letter.ts'

/** The records of one lane in a batch. */
export interface Part<Item> {
  readonly lane: Lane<Item>
  entries: readonly Entry<Item>[]
  readonly from: bigint
  to: bigint
}

/** A record that is dead and whose letter is not stored yet. */
export interface Undelivered<Item> {
  readonly part: Part<Item>
  readonly entry: Entry<Item>
  readonly outcome: Extract<Outcome, { kind: 'dead' }>
  readonly stage: LetterStage
  readonly failedAtMs: number
}

/** What a batch does next. */
export type Step = 'letters' | 'handle' | 'commit'

export interface Flush<Item> {
  readonly reason: FlushReason
  parts: readonly Part<Item>[]
  step: Step
  /** The step after the letters. */
  afterLetters: 'handle' | 'commit'
  undelivered: readonly Undelivered<Item>[]
  /** What `handle` said of its items. */
  readonly outcomes: Map<Entry<Item>, Outcome>
  /** Calls of `handle` with the whole batch. */
  attempt: number
  /** Attempts of the present step since it last went well; decides the backoff. */
  tries: number
  /** Monotonic time of the first failure since it last went well. */
  failingSinceMs: number | undefined
  /** Backoff in progress, or over and waiting for its turn. */
  wait: Disposable | 'over' | undefined
  /** A step is under way. */
  running: boolean
  /** The guard of letters let these through. */
  admitted: boolean
  /** Its lanes are lost: whatever it yields is ignored. */
  stale: boolean
  /** Monotonic time at which the call of `handle` in progress began or last reported progress. */
  calledAtMs: number | undefined
  /** Aborts the call of `handle` in progress. */
  abort: (reason: Error) => void
}

/** The entries of `flush` that are items of its batch, in order: those that are not decided yet. */
export function itemEntries<Item>(flush: Flush<Item>): readonly Entry<Item>[] {
  return flush.parts.flatMap(({ entries }) => entries.filter((entry) => isOpen(flush, entry)))
}

function isOpen<Item>({ outcomes }: Flush<Item>, entry: Entry<Item>): boolean {
  return entry.decoded?.kind === 'item' && !outcomes.has(entry)
}

/** The batch that `handle` gets. */
export function toBatch<Item>(flush: Flush<Item>): Batch<Item> {
  const items: Item[] = []
  const ranges: BatchRange[] = []
  for (const { lane, entries, from, to } of flush.parts) {
    const start = items.length
    for (const entry of entries)
      if (entry.decoded?.kind === 'item' && isOpen(flush, entry)) items.push(entry.decoded.item)
    ranges.push({ ...lane.partition, from, to, start, count: items.length - start })
  }
  return { items, ranges }
}

/**
 * The batch of the items `[low, high)`. Its ranges tile those of the whole: a cut lies behind the last item before it,
 * and `nexts` are the positions after each item.
 */
export function subBatch<Item>(batch: Batch<Item>, nexts: readonly bigint[], low: number, high: number): Batch<Item> {
  const ranges: BatchRange[] = []
  for (const range of batch.ranges) {
    const end = range.start + range.count
    const first = Math.max(low, range.start)
    const last = Math.min(high, end)
    if (first >= last) continue
    const from = first === range.start ? range.from : (nexts[first - 1] ?? range.from)
    const to = last === end ? range.to : (nexts[last - 1] ?? range.to)
    ranges.push({ topic: range.topic, partition: range.partition, from, to, start: first - low, count: last - first })
  }
  return { items: batch.items.slice(low, high), ranges }
}

/**
 * Cuts `flush` in front of `behind`, its first undecided item: parts before it are kept whole, its own part up to it,
 * and of the parts after it those without items. With `exactly` what lies between the last decided item and `behind`
 * is cut off too: a sink that owns its position has not passed it. Returns the parts of which nothing is kept.
 */
export function truncate<Item>(flush: Flush<Item>, behind: Entry<Item>, exactly: boolean): readonly Part<Item>[] {
  const released: Part<Item>[] = []
  const kept: Part<Item>[] = []
  let passed = false
  for (const part of flush.parts) {
    let end = part.entries.findIndex((entry) => entry === behind || (passed && entry.decoded?.kind === 'item'))
    if (end >= 0) {
      passed = true
      while (exactly && end > 0 && part.entries[end - 1]?.decoded?.kind !== 'item') end--
      part.entries = part.entries.slice(0, end)
      part.to = part.entries.at(-1)?.next ?? part.from
    }
    if (part.entries.length === 0) released.push(part)
    else kept.push(part)
  }
  flush.parts = kept
  return released
}

/** The positions to commit for `flush`. */
export function toCommits<Item>(flush: Flush<Item>): readonly Commit[] {
  return flush.parts.map(({ lane, to }) => ({ ...lane.partition, offset: to }))
}

/** A new batch of the oldest records of `lanes`, in that order, up to the limits of the policy. */
export function cutFlush<Item>(
  lanes: readonly Lane<Item>[],
  limits: { readonly maxRows: number; readonly maxBytes: number },
  reason: FlushReason
): Flush<Item> {
  const parts: Part<Item>[] = []
  let rows = limits.maxRows
  let bytes = limits.maxBytes
  for (const lane of lanes) {
    if (rows <= 0 || bytes <= 0) break
    const entries = lane.peek(rows, bytes)
    const [first] = entries
    const last = entries.at(-1)
    if (first === undefined || last === undefined) continue
    parts.push({ lane, entries, from: lane.position ?? first.record.offset, to: last.next })
    rows -= entries.length
    bytes -= entries.reduce((sum, entry) => sum + entry.bytes, 0)
  }
  return newFlush(parts, reason)
}

/** Leaves the parts with undelivered letters to `flush`; the others as a batch of their own, undefined without any. */
export function splitDelivered<Item>(flush: Flush<Item>): Flush<Item> | undefined {
  return splitOff(flush, new Set(flush.undelivered.map(({ part }) => part)))
}

/** Leaves the parts with undecided items to `flush`; the others as a batch of their own, undefined without any. */
export function splitDecided<Item>(flush: Flush<Item>): Flush<Item> | undefined {
  return splitOff(flush, new Set(flush.parts.filter(({ entries }) => entries.some((entry) => isOpen(flush, entry)))))
}

function splitOff<Item>(flush: Flush<Item>, kept: ReadonlySet<Part<Item>>): Flush<Item> | undefined {
  const free = flush.parts.filter((part) => !kept.has(part))
  if (free.length === 0) return undefined
  flush.parts = flush.parts.filter((part) => kept.has(part))
  const { reason, afterLetters, attempt, outcomes } = flush
  return { ...newFlush(free, reason), step: afterLetters, afterLetters, attempt, outcomes }
}

function newFlush<Item>(parts: readonly Part<Item>[], reason: FlushReason): Flush<Item> {
  return {
    reason,
    parts,
    step: 'handle',
    afterLetters: 'handle',
    undelivered: [],
    outcomes: new Map(),
    attempt: 0,
    tries: 0,
    failingSinceMs: undefined,
    wait: undefined,
    running: false,
    admitted: false,
    stale: false,
    calledAtMs: undefined,
    abort: () => {}
  }
}

/** The records of `flush` that its handle found dead. */
export function handledDead<Item>(flush: Flush<Item>, nowMs: number): readonly Undelivered<Item>[] {
  const found: Undelivered<Item>[] = []
  for (const part of flush.parts) {
    for (const entry of part.entries) {
      const outcome = flush.outcomes.get(entry)
      if (outcome?.kind === 'dead') found.push({ part, entry, outcome, stage: 'handle', failedAtMs: nowMs })
    }
  }
  return found
}
