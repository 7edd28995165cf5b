// How far the pipeline is, read from Kafka alone: what the logs hold and what each group has finished.
import { isRawTopic, parseTopic } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'
import { formatCount } from '../output.ts'

/** Counts over all projects since the logs began. */
export interface PipelineStatus {
  /** Records in the raw logs: events that were answered with 202. */
  readonly accepted: bigint
  /** Records whose row is in ClickHouse: the committed position of the loader. */
  readonly landed: bigint
  /** Records not yet handled, by group. */
  readonly lag: Readonly<Record<string, bigint>>
  /** Dead letters of all groups. */
  readonly deadLetters: bigint
}

/** The loader's group; its commit follows the insert. */
const landingGroup = 'load'

/** Reads the status. Throws PIPE_KAFKA_UNAVAILABLE when the cluster does not answer. */
export async function readPipelineStatus(admin: Admin, groups: readonly string[]): Promise<PipelineStatus> {
  const topics = await admin.listTopics()
  const lag = new Map(groups.map((group) => [group, 0n]))
  let accepted = 0n
  let landed = 0n
  let deadLetters = 0n
  for (const topic of topics) {
    if (parseTopic(topic)?.family === 'dlq') {
      for (const { end } of await admin.ranges(topic)) deadLetters += end
    }
    if (!isRawTopic(topic)) continue
    const ranges = await admin.ranges(topic)
    const offsets = new Map(
      await Promise.all(groups.map(async (group) => [group, await admin.groupOffsets(group, topic)] as const))
    )
    for (const { partition, start, end } of ranges) {
      accepted += end
      for (const [group, committed] of offsets) {
        const position = committed.get(partition) ?? start
        // Commits are read after the ends, so a position may be ahead of them.
        lag.set(group, (lag.get(group) ?? 0n) + (end > position ? end - position : 0n))
        if (group === landingGroup) landed += position
      }
    }
  }
  return { accepted, landed, lag: Object.fromEntries(lag), deadLetters }
}

/** The status as one line; `before` is an earlier status and how long ago it was, for the rate. */
export function renderStatus(
  status: PipelineStatus,
  before: { readonly status: PipelineStatus; readonly agoMs: number } | undefined
): string {
  const lag = Object.entries(status.lag).map(([group, count]) => `${group} ${formatCount(count)}`)
  const perSecond =
    before === undefined || before.agoMs <= 0
      ? ''
      : ` (${((Number(status.accepted - before.status.accepted) * 1_000) / before.agoMs).toFixed(0)}/s)`
  return [
    `accepted ${formatCount(status.accepted)}${perSecond}`,
    `landed ${formatCount(status.landed)}`,
    `lag ${lag.join(', ')}`,
    `dead ${formatCount(status.deadLetters)}`
  ].join(' | ')
}
