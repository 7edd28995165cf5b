// One batch of one partition -> the live state. What Redis answers decides: applied, somewhere else in the log, under
// another epoch, or not now. Nothing is ever set aside: what cannot be applied waits, since the records are innocent.
import type { BatchApplier } from '@millrace/aggregation/apply-batch'
import { toFoldRange } from '@millrace/aggregation/entry'
import type { Entry } from '@millrace/aggregation/entry'
import type { FoldItem, FoldOptions, FoldRange } from '@millrace/aggregation/fold'
import { rewind } from '@millrace/consumer'
import type { Batch, BatchRange, Rewind } from '@millrace/consumer'
import { AppError, done, skip } from '@millrace/kernel'
import type { Outcome } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { LiveProject, LiveProjects, OwnedPartition } from './live-projects.ts'
import type { aggregatorMetrics } from './metrics.ts'

export interface AggregateDeps {
  readonly projects: LiveProjects
  readonly applier: BatchApplier
  /** What to count of a project. Throws a transient error while that is not known. */
  readonly optionsOf: (project: string) => FoldOptions
  readonly metrics: BoundMetrics<typeof aggregatorMetrics>
  readonly faults: { at(label: string): void | Promise<void> }
}

type Handle = (batch: Batch<Entry>) => Promise<readonly Outcome[] | Rewind>

/**
 * The handler of a batch. Throws a transient error when the state cannot be written now, also for what Redis refuses:
 * its next answer tells whether the epoch is torn.
 */
export function createAggregate(deps: AggregateDeps): Handle {
  const { projects } = deps
  return async function aggregate({ items: entries, ranges }) {
    const [range] = ranges
    if (range === undefined || entries.length === 0) return []
    const live = projects.of(range.topic)
    const owned = live.owned.get(range.partition)
    if (owned === undefined) throw new AppError('PIPE_LIVE_STATE', `${range.topic}:${range.partition} is not held`)
    owned.busy = true
    owned.moves++
    try {
      if (live.halted !== undefined) return await readAgain(deps, live, range, 'halted')
      return await applyRange(deps, live, owned, { range, entries })
    } finally {
      owned.busy = false
      owned.moves++
    }
  }
}

interface Work {
  readonly range: BatchRange
  readonly entries: readonly Entry[]
}

async function applyRange(
  deps: AggregateDeps,
  live: LiveProject,
  owned: OwnedPartition,
  { range, entries }: Work
): Promise<readonly Outcome[] | Rewind> {
  const { applier, optionsOf, projects, faults } = deps
  const items = entries.flatMap(({ item }) => item ?? [])
  await faults.at('aggregator.before-apply')
  const reply = await apply(applier, live, { range: toFoldRange(live.epoch, range, entries), items }, optionsOf)
  await faults.at('aggregator.after-apply')
  switch (reply.kind) {
    case 'ok':
      owned.position = range.to
      owned.appendedAtMs = entries.at(-1)?.appendedAtMs ?? owned.appendedAtMs
      live.applied++
      return entries.map(({ item }) => (item === undefined ? skip('invalid') : done))
    case 'gap':
      return await readAgain(deps, live, range, 'gap')
    case 'epoch':
      return await readAgain(deps, live, range, 'epoch')
    case 'sealed':
      throw new AppError('PIPE_LIVE_STATE', `epoch ${live.epoch} of ${live.project} is being replaced`)
    case 'broken':
      projects.halt(live, 'torn', reply.torn)
      throw halted(live)
    case 'wrong-type':
      projects.halt(live, 'wrong-type', reply.key)
      throw halted(live)
  }
}

async function apply(
  applier: BatchApplier,
  { project }: LiveProject,
  { range, items }: { readonly range: FoldRange; readonly items: readonly FoldItem[] },
  optionsOf: AggregateDeps['optionsOf']
) {
  try {
    return await applier.apply(project, range, items, optionsOf(project))
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'PIPE_REDIS_REFUSED') throw error
    throw new AppError('PIPE_LIVE_STATE', `Redis refused a batch of ${project}`, { cause: error })
  }
}

/** Reads epoch and positions from Redis again and goes on from there. */
async function readAgain(
  { projects, applier, metrics }: AggregateDeps,
  live: LiveProject,
  { topic, partition }: BatchRange,
  reason: 'gap' | 'epoch' | 'halted'
): Promise<Rewind> {
  applier.forget()
  await projects.reload(live, partition)
  if (live.halted !== undefined) throw halted(live)
  metrics.rewinds.add(1, { reason })
  return rewind([{ topic, partition, offset: live.owned.get(partition)?.position ?? 0n }])
}

function halted({ project, epoch, halted: reason }: LiveProject): AppError {
  return new AppError('PIPE_LIVE_STATE', `epoch ${epoch} of ${project} takes nothing: ${reason}`)
}
