// A batch of one partition of any length -> calls of `apply`: fold, call, fold again without what is counted already.
// The live worker and a rebuild share it. What a call did is told as soon as it is known, since a later one may fail.
import type { ApplyCall } from './apply.ts'
import { foldBatch, noRefusals } from './fold.ts'
import type { FoldItem, FoldOptions, FoldRange, Folded, Refusals } from './fold.ts'
import { createRecentIds } from './recent-ids.ts'
import type { RecentIds } from './recent-ids.ts'
import type { RedisApply, RedisApplyReply } from './redis-apply.ts'

/** What one call added; `calls` are those that it took. */
export interface Applied {
  readonly project: string
  readonly partition: number
  readonly events: number
  readonly late: number
  readonly closed: number
  readonly expired: number
  /** Copies: in the batch, known from batches before, or in a seen set. */
  readonly duplicates: number
  readonly badValues: number
  readonly calls: number
}

export type BatchReply =
  /** The state holds the range, by this call or by another one. */
  | { readonly kind: 'ok' }
  /** The position is another one: drop the buffer and read on from there. */
  | { readonly kind: 'gap'; readonly position: bigint }
  | Exclude<RedisApplyReply, { readonly kind: 'ok' | 'done' | 'gap' | 'duplicate' | 'refold' }>

export interface BatchApplierDeps {
  readonly apply: RedisApply
  /** Names a call in the `torn` marker. */
  readonly callId: () => string
  /** Called after each call that changed the state. */
  readonly onApplied?: (applied: Applied) => void
  /** Stores days (start, ms) to be recounted, before the call that leaves their events out. May repeat itself. */
  readonly queueDays?: (project: string, days: readonly number[]) => Promise<void>
  /** Most events in one call; default 5,000. A script holds up everybody else while it runs. */
  readonly maxEvents?: number
  /** Digests that are remembered of each partition; default 5,000. */
  readonly recentIds?: number
}

export interface BatchApplier {
  /**
   * Applies `items`, which are those of `range` in the order of the log. Call it again with the same range and items
   * after an error. Throws what `apply` and `queueDays` throw.
   */
  apply(project: string, range: FoldRange, items: readonly FoldItem[], options: FoldOptions): Promise<BatchReply>
  /** Forgets the ids of all partitions. */
  forget(): void
}

const longestCall = 5_000
/** Each answer that asks for another fold makes progress unless Redis goes back again and again. */
const mostFolds = 50

/** An applier for the partitions of one process; calls of one partition come one after the other. */
export function createBatchApplier(deps: BatchApplierDeps): BatchApplier {
  const { maxEvents = longestCall, recentIds = longestCall } = deps
  const recent = new Map<string, RecentIds>()
  const recentOf = (project: string, { epoch, partition }: FoldRange): RecentIds => {
    const key = `${project}:${epoch}:${partition}`
    const known = recent.get(key) ?? createRecentIds(recentIds)
    recent.set(key, known)
    return known
  }
  return {
    async apply(project, range, items, options) {
      const known = recentOf(project, range)
      for (const part of split(range, items, maxEvents)) {
        const reply = await applyPart(deps, { project, known, options, ...part })
        if (reply.kind === 'ok') continue
        known.clear()
        return reply
      }
      return { kind: 'ok' }
    },
    forget: () => recent.clear()
  }
}

interface PartOf {
  readonly range: FoldRange
  readonly items: readonly FoldItem[]
}

interface Work extends PartOf {
  readonly project: string
  readonly known: RecentIds
  readonly options: FoldOptions
}

/** Parts end right behind an item, so that a repeated batch is split alike and its fingerprints are those of records. */
function* split(range: FoldRange, items: readonly FoldItem[], size: number): Generator<PartOf> {
  let { from } = range
  let expired = range.expired
  let first = 0
  for (; items.length - first > size; first += size) {
    const last = items[first + size - 1]
    if (last === undefined) break
    const to = last.row.offset + 1n
    const part = { ...range, from, to, appendedAtMs: last.row.appendedAt, expired }
    yield { range: part, items: items.slice(first, first + size) }
    from = to
    expired = 0
  }
  yield { range: { ...range, from, expired }, items: first === 0 ? items : items.slice(first) }
}

async function applyPart(deps: BatchApplierDeps, work: Work): Promise<BatchReply> {
  const { project, range, items, options, known } = work
  let refusals = refusalsOf(known, items)
  for (let calls = 1; calls <= mostFolds; calls++) {
    const folded = foldBatch(items, range, options, refusals)
    if (folded.recountDays.length > 0) await deps.queueDays?.(project, folded.recountDays)
    const reply = await deps.apply(project, folded.call, deps.callId())
    switch (reply.kind) {
      case 'ok':
        for (const { ids } of folded.call.hours) known.add(ids)
        deps.onApplied?.(appliedOf(work, folded, calls))
        return reply
      case 'done':
        return reply.position === range.to ? { kind: 'ok' } : { kind: 'gap', position: reply.position }
      case 'duplicate':
        refusals = { ids: new Set([...refusals.ids, ...reply.ids]), deletedThrough: reply.deletedThrough }
        break
      case 'refold':
        known.clear()
        refusals = noRefusals
        break
      default:
        return reply
    }
  }
  // The position is read again, and so is the range.
  return { kind: 'gap', position: range.from }
}

function refusalsOf(known: RecentIds, items: readonly FoldItem[]): Refusals {
  let ids: Set<string> | undefined
  for (const { digest } of items) if (known.has(digest)) (ids ??= new Set()).add(digest)
  return ids === undefined ? noRefusals : { ids, deletedThrough: noRefusals.deletedThrough }
}

function appliedOf({ project, range, items }: Work, { call, badValues }: Folded, calls: number): Applied {
  const { late, closed, expired } = call
  const events = countedIn(call)
  const duplicates = items.length - events - late - closed
  return { project, partition: range.partition, events, late, closed, expired, duplicates, badValues, calls }
}

function countedIn({ hours }: ApplyCall): number {
  let count = 0
  for (const { ids } of hours) count += ids.length
  return count
}
