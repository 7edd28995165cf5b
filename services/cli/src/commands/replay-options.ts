// The options of `millrace replay` as the request of a plan.
import type { ArchiveRangeRequest } from '@millrace/operations/archive-range'
import { replayKinds } from '@millrace/operations/replay-plan'
import type { ReplayEdge, ReplayKind, ReplayRequest } from '@millrace/operations/replay-plan'
import type { CommonOptions } from '../context.ts'
import { UsageError } from '../output.ts'
import { timeOf } from '../time-option.ts'

export interface RangeOptions extends CommonOptions {
  readonly project: string
  readonly group: string
  readonly fromOffset?: string
  readonly fromTime?: string
  readonly toOffset?: string
  readonly toTime?: string
  readonly inPlace?: boolean
  readonly fromArchive?: boolean
  readonly acceptGone?: boolean
  readonly limit: string
}

/** One request for each group that is named. Throws a UsageError. */
export function toRequests(options: RangeOptions, nowMs: number): readonly ReplayRequest[] {
  if (options.acceptGone === true) throw new UsageError('--accept-gone is for --from-archive')
  const from = edgeOf('from', options.fromOffset, options.fromTime, nowMs)
  if (from === undefined)
    throw new UsageError('say where to begin: --from-time, or --from-offset (`earliest` for all that the log has)')
  const to = edgeOf('to', options.toOffset, options.toTime, nowMs) ?? { kind: 'all' }
  const mode = options.inPlace === true ? 'in-place' : 'beside'
  const limit = wholeOf('--limit', options.limit)
  return options.group
    .split(',')
    .map((text) => ({ projectId: options.project, ...groupOf(text.trim(), replayKinds), mode, from, to, limit }))
}

/** What is asked of the archive: a range of it, or all of it and what the log has behind it. */
export type ArchiveRequest =
  | { readonly kind: 'all'; readonly group: string }
  | ({ readonly kind: 'range' } & ArchiveRangeRequest)

/** The request of `--from-archive`, undefined without it. It can be read into the warehouse alone. Throws a UsageError. */
export function archiveRequestOf(options: RangeOptions, nowMs: number): ArchiveRequest | undefined {
  if (options.fromArchive !== true) return undefined
  const groups = options.group.split(',').map((text) => groupOf(text.trim(), replayKinds))
  const [only] = groups
  if (groups.length !== 1 || only?.kind !== 'load')
    throw new UsageError('--from-archive loads the warehouse, so it is for --group load alone')
  if (options.inPlace === true) throw new UsageError('--from-archive moves no group, so it does not go with --in-place')
  const from = edgeOf('from', options.fromOffset, options.fromTime, nowMs)
  const to = edgeOf('to', options.toOffset, options.toTime, nowMs)
  const { group } = only
  if (from === undefined && to === undefined) return { kind: 'all', group }
  const all = { kind: 'all' } as const
  const { project: projectId } = options
  const limit = wholeOf('--limit', options.limit)
  const acceptGone = options.acceptGone === true
  return { kind: 'range', projectId, group, from: from ?? all, to: to ?? all, limit, acceptGone }
}

/** `--rate` as records a second. */
export function rateOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const rate = Number(wholeOf('--rate', text))
  if (rate < 1 || rate > 100_000_000) throw new UsageError(`--rate must be 1 to 100000000, not '${text}'`)
  return rate
}

/** `load`, or `load=eu-load` where the consumer group of the loaders has another name. Throws a UsageError. */
export function groupOf<Kind extends ReplayKind>(
  text: string,
  kinds: readonly Kind[]
): { readonly kind: Kind; readonly group: string } {
  const [name = '', group = name] = text.split('=', 2)
  const kind = kinds.find((known) => known === name)
  if (kind === undefined || group === '')
    throw new UsageError(
      `--group takes ${kinds.join(', ')}, or such as load=eu-load for another consumer group, not '${text}'`
    )
  return { kind, group }
}

function edgeOf(
  side: 'from' | 'to',
  offset: string | undefined,
  time: string | undefined,
  nowMs: number
): ReplayEdge | undefined {
  if (offset !== undefined && time !== undefined)
    throw new UsageError(`either --${side}-offset or --${side}-time, not both`)
  if (time !== undefined) return { kind: 'time', ms: timeOf(`--${side}-time`, time, nowMs) }
  if (offset === undefined) return undefined
  if (side === 'from' && offset === 'earliest') return { kind: 'all' }
  if (!offset.includes(':')) return { kind: 'offset', offset: wholeOf(`--${side}-offset`, offset) }
  const pairs = offset.split(',').map((pair): [number, bigint] => {
    const [partition = '', at = ''] = pair.split(':', 2)
    return [Number(wholeOf(`--${side}-offset`, partition)), wholeOf(`--${side}-offset`, at)]
  })
  return { kind: 'offsets', offsets: new Map(pairs) }
}

function wholeOf(option: string, text: string): bigint {
  if (/^\d{1,18}$/.test(text)) return BigInt(text)
  throw new UsageError(`${option} takes whole numbers (0:100,1:250 for partitions), not '${text}'`)
}
